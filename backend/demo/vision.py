"""OpenCV on a picture that is drawn at start; the one part here that is machine code."""

import base64
import importlib.util
import pathlib
import platform

# What `e_machine` of an ELF header says. Source: the System V ABI.
MACHINES = {0x3E: "x86_64", 0xB7: "aarch64", 0x28: "arm", 0x03: "i386"}


def try_opencv():
    """The library's version, its build information and two pictures, or why it cannot be loaded."""
    try:
        import cv2
        import numpy
    except ImportError as error:
        return {"works": False, "error": str(error), "libraries": foreign_libraries()}
    try:
        picture = draw(cv2, numpy)
        # The sun and the sky are equally bright: only their colours differ.
        channels = cv2.split(cv2.GaussianBlur(picture, (5, 5), 0))
        edges = numpy.maximum.reduce([cv2.Canny(channel, 40, 120) for channel in channels])
        shapes = cv2.findContours(edges, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
        shapes = [shape for shape in shapes if cv2.contourArea(shape) > 400]
        marked = cv2.drawContours(picture.copy(), shapes, -1, (80, 80, 250), 3, cv2.LINE_AA)
        return {
            "works": True,
            "version": cv2.__version__,
            "shapes": len(shapes),
            "build": cv2.getBuildInformation().strip(),
            "picture": png(cv2, picture),
            "result": png(cv2, marked),
        }
    except cv2.error as error:
        return {"works": False, "error": str(error), "libraries": []}


def draw(cv2, numpy):
    """A landscape with something to find in it."""
    height, width = 360, 560
    rows = numpy.linspace(0, 1, height)[:, None]
    sky = (numpy.array([235, 206, 135]) * (1 - rows) + numpy.array([250, 240, 225]) * rows)[:, None, :]
    picture = numpy.repeat(sky, width, axis=1).astype(numpy.uint8)
    cv2.circle(picture, (440, 90), 46, (90, 200, 250), -1, cv2.LINE_AA)
    for points, colour in [
        ([(0, 300), (150, 130), (300, 300)], (120, 110, 90)),
        ([(180, 300), (330, 170), (480, 300)], (140, 125, 100)),
    ]:
        cv2.fillPoly(picture, [numpy.array(points)], colour, cv2.LINE_AA)
    cv2.rectangle(picture, (0, 296), (width, height), (96, 150, 86), -1)
    cv2.rectangle(picture, (90, 236), (170, 312), (70, 90, 180), -1)
    cv2.fillPoly(picture, [numpy.array([(80, 238), (130, 196), (180, 238)])], (50, 60, 120), cv2.LINE_AA)
    return picture


def png(cv2, picture):
    """A picture as it stands in a page."""
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", picture)[1]).decode()


def foreign_libraries():
    """Libraries of the packages that cannot be loaded, which are for another CPU than this process."""
    found = []
    for package in ("cv2", "numpy"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(pathlib.Path(folder).rglob("*.so*")):
                machine = elf_machine(path)
                if machine and machine != platform.machine():
                    found.append({"file": str(path), "machine": machine})
    return found[:8]


def elf_machine(path):
    """The CPU that a library is for, by its header."""
    head = path.open("rb").read(20)
    return MACHINES.get(int.from_bytes(head[18:20], "little"), "another CPU") if head[:4] == b"\x7fELF" else None
