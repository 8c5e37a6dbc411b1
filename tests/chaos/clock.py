def plan(*_):
    return []


def run(lab, trial):
    return []
