// Measures the page that is shown, unfolded. Returns {inner: its width, faults: [sentence], built: [[tag, depth]]}.
(async () => {
  const SMALLEST = 10, LARGE = 24, LARGE_BOLD = 18.66;  // pixels; WCAG calls text large from 18 pt, or 14 pt in bold
  const root = document.documentElement, faults = [];
  const style = element => getComputedStyle(element);
  const isPrinted = matchMedia("print").matches;

  function name(element) {
    const text = (element.alt || element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    const kind = element.className.baseVal ?? element.className;
    return `<${element.localName}${kind ? "." + kind.trim().replace(/\s+/g, ".") : ""}> '${text}'`;
  }
  const isShown = element => element.checkVisibility({opacityProperty: true, visibilityProperty: true});
  function* above(element) { for (; element; element = element.parentElement) yield element; }

  // Colours are [red, green, blue, alpha]. A canvas knows every notation.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  function colour(notation) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = notation;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }
  const over = (top, bottom) => [0, 1, 2].map(i => top[i] * top[3] + bottom[i] * (1 - top[3])).concat(1);
  function ground(element) {
    const layers = [...above(element)].map(one => colour(style(one).backgroundColor));
    const canvasColour = style(root).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches
      && !isPrinted ? [18, 18, 18, 1] : [255, 255, 255, 1];
    return layers.reverse().reduce((bottom, top) => over(top, bottom), canvasColour);
  }
  function luminance(rgb) {
    const [r, g, b] = rgb.map(value => value / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function contrast(one, other) {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  function scrolls(element) { return !isPrinted && ["auto", "scroll"].includes(style(element).overflowX); }
  function cuts(element) {
    return element !== root && element !== document.body && style(element).overflowX !== "visible" && !scrolls(element);
  }

  function checkText(node) {
    const element = node.parentElement, isDrawn = element.closest("svg") !== null, its = style(element);
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = isDrawn ? [element.getBoundingClientRect()] : [...range.getClientRects()];
    const turned = isDrawn ? element.getScreenCTM() : {a: 1, b: 0}, scale = Math.hypot(turned.a, turned.b), size = parseFloat(its.fontSize) * scale;
    if (size < SMALLEST) faults.push(`${name(element)} is only ${size.toFixed(1)} pixels high`);
    const faint = [...above(element)].reduce((left, one) => left * style(one).opacity, 1);
    const behind = ground(element), ink = colour(isDrawn ? its.fill : its.color);
    const ratio = contrast(over([...ink.slice(0, 3), ink[3] * faint], behind), behind);
    const isLarge = size >= LARGE || (size >= LARGE_BOLD && its.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) faults.push(`${name(element)} has a contrast of only ${ratio.toFixed(2)}`);
    for (const box of boxes) checkBox(box, element);
  }

  // A box must lie in the page, and in every element around it that hides what lies outside.
  function checkBox(box, element) {
    for (const one of above(element)) {
      if (one === root || scrolls(one)) break;
      const around = one.getBoundingClientRect(), isCutting = cuts(one);
      if (isCutting && (box.right > around.right + 1 || box.left < around.left - 1
          || (style(one).overflowY !== "visible" && (box.bottom > around.bottom + 1 || box.top < around.top - 1)))) {
        faults.push(`${name(element)} is cut off by ${name(one)}`);
        return;
      }
    }
    const isInScroller = [...above(element)].some(scrolls);
    if (!isInScroller && (box.right > root.clientWidth + 1 || box.left < -1)) {
      faults.push(`${name(element)} is cut off by the edge of the page`);
    }
  }

  async function checkImage(image) {
    try { await image.decode(); } catch { }
    if (!image.complete || image.naturalWidth === 0) return void faults.push(`${name(image)} does not decode`);
    if (!image.alt.trim()) faults.push("an <img> has no alternative text");
    const box = image.getBoundingClientRect();
    if (!isShown(image)) return;
    if (box.width < 16) faults.push(`${name(image)} is only ${box.width} pixels wide`);
    const stretch = (box.width / box.height) / (image.naturalWidth / image.naturalHeight);
    if (Math.abs(Math.log(stretch)) > 0.05) faults.push(`${name(image)} is stretched by ${stretch.toFixed(2)}`);
    checkBox(box, image);
  }

  for (const folded of document.querySelectorAll("details")) folded.open = true;
  if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} pixels wide`);
  for (const image of document.images) await checkImage(image);
  for (const drawing of document.querySelectorAll("svg, canvas, video")) {
    if (isShown(drawing)) checkBox(drawing.getBoundingClientRect(), drawing);
    if (!drawing.getAttribute("aria-label") && !drawing.querySelector("title")) {
      faults.push(`${name(drawing)} has no alternative text`);
    }
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const its = node.parentElement;
    if (node.data.trim() && !["STYLE", "SCRIPT", "title", "desc"].includes(its.nodeName) && isShown(its)) checkText(node);
  }

  const built = [];
  (function walk(element, depth) {
    const isAdded = element.localName === "tbody";  // the parser adds it where it is not written
    if (!isAdded) built.push([element.localName.toLowerCase(), depth]);
    for (const child of element.children) walk(child, depth + !isAdded);
  })(root, 0);
  return {inner: innerWidth, faults: [...new Set(faults)], built};
})()
