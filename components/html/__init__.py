"""What all HTML pages share: the frame, its style, elements such as pictures, and the filters of templates."""
