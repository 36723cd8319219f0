"""The seeds' demo: a page that shows the machine, and OpenCV at work on it, or why it cannot be.

The page survives a library for the wrong CPU: that is what it is there to show.
"""

import os
import platform

from flask import Flask, jsonify, render_template
from waitress import serve

import machine
import vision

app = Flask(__name__)
FACTS = machine.facts("demo")
FACTS["system"] = platform.platform()
OPENCV = vision.try_opencv()


@app.get("/")
def page():
    return render_template("page.html", facts=FACTS, opencv=OPENCV), 200 if OPENCV["works"] else 500


@app.get("/api")
def api():
    plain = {key: value for key, value in OPENCV.items() if key not in ("picture", "result", "build")}
    return jsonify({**FACTS, "opencv": plain}), 200 if OPENCV["works"] else 500


@app.get("/healthz")
def healthz():
    return "ok" if OPENCV["works"] else ("OpenCV cannot be loaded", 503)


if __name__ == "__main__":
    serve(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")), threads=4)
