"""A class as JUnit XML: one suite a student and level, one case a property.

What readers agree on: `classname`, a name of its own for each case, the text of a failure also as its content
(GitLab shows no attribute), points as properties (no reader has a place for them). No times: see `gradebook`.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as xml

from grader.render.escape import xml_text
from grader.render.gradebook import Gradebook, Student
from grader.render.prose import property_lines
from grader.report import LevelReport, PropertyReport

_PLACE = re.compile(r'File "(nanochat/[^"]+)", line (\d+)')


def render(book: Gradebook) -> str:
    """Return the class as JUnit XML."""
    top = xml.Element("testsuites", name="nanograder")
    for student in book.students:
        if student.status == "graded":
            for level in student.levels:
                add_level(top, student, level)
        else:
            add_reason(top, student)
    total(top, [*top])
    xml.indent(top)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{xml.tostring(top, encoding="unicode")}\n'


def add_level(top: xml.Element, student: Student, level: LevelReport) -> None:
    """Add one level of a student."""
    suite = xml.SubElement(top, "testsuite", name=xml_text(f"{student.name} level {level.level}"))
    properties = xml.SubElement(suite, "properties")
    add_points(properties, "", level.points, level.max_points)
    for criterion in level.criteria:
        add_points(properties, f"{criterion.id}.", criterion.points, criterion.max_points)
        for one in criterion.properties:
            where = xml_text(f"{student.name}.level{level.level}.{criterion.id}")
            add_case(suite, where, one)
    total(suite, [])


def add_case(suite: xml.Element, where: str, one: PropertyReport) -> None:
    """Add one property."""
    case = xml.SubElement(suite, "testcase", classname=where, name=xml_text(one.id))
    if places := _PLACE.findall(one.traceback):
        case.set("file", xml_text(places[-1][0]))
        case.set("line", places[-1][1])
    if one.verdict != "passed":
        tag = "failure" if one.verdict == "failed" else "error"
        broken = xml.SubElement(case, tag, type=one.verdict, message=xml_text(one.message))
        broken.text = xml_text("\n".join(property_lines(one)))


def add_reason(top: xml.Element, student: Student) -> None:
    """Add a student without a report: an error where it was rejected, skipped where it waits for us."""
    suite = xml.SubElement(top, "testsuite", name=xml_text(student.name))
    case = xml.SubElement(suite, "testcase", classname=xml_text(student.name), name="submission")
    tag = "error" if student.status == "rejected" else "skipped"
    said = xml_text(f"{student.status}: {student.reason}")
    xml.SubElement(case, tag, type=student.status, message=said).text = said
    total(suite, [])


def add_points(properties: xml.Element, prefix: str, points: float, max_points: float) -> None:
    """Add points as properties."""
    for name, value in (("points", points), ("max_points", max_points)):
        xml.SubElement(properties, "property", name=f"{prefix}{name}", value=f"{value:g}")


def total(element: xml.Element, suites: list[xml.Element]) -> None:
    """Set the counts of a suite, or of all suites together."""
    cases = [case for one in suites or [element] for case in one.findall("testcase")]
    for name, tag in (("tests", None), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(tag is None or case.find(tag) is not None for case in cases)))
