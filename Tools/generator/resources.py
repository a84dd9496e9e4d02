"""Served resources and table columns, as compact text read once."""
from .model import HEADER


def generate(resources, columns, files):
    lines = []
    for name, g in sorted(resources["groups"].items(), key=lambda e: e[1]["order"]):
        lines.append("G\t%s\t%s\t%s" % (name, g["preferred"], ",".join(g["versions"])))
    for r in resources["resources"]:
        flags = "".join(c for c, k in (("n", "namespaced"), ("p", "preferred"), ("e", "enabledByDefault")) if r.get(k))
        lines.append("\t".join([
            "R", r["group"], r["version"], r["resource"], r["singular"], r["kind"], flags,
            ",".join(r["verbs"]), ",".join(r.get("shortNames", [])), ",".join(r.get("categories", [])),
            r.get("storageGroup", r["group"]), r.get("storageVersion", ""), r.get("stage", "")]))
        for s in r.get("subresources", []):
            lines.append("\t".join([
                "S", s["name"], s["kind"], s.get("group", r["group"]), s.get("version", r["version"]),
                ",".join(s["verbs"])]))
    text = HEADER + "/// Groups, resources and subresources; ResourceParser explains the form.\n"
    text += "let resourceText: StaticString = #\"\"\"\n" + "\n".join("  " + x for x in lines) + "\n  \"\"\"#\n"
    files["Sources/APISchema/Generated/ResourceText.swift"] = text

    lines = []

    def column(c):
        lines.append("\t".join(["C", c["name"], c["type"], c.get("format", ""), str(c.get("priority", 0)),
                                c.get("jsonPath", "")]).rstrip("\t"))

    for k in columns["kinds"]:
        lines.append("K\t%s\t%s\t%s" % (k["group"], k["kind"], k["resource"]))
        for c in k["columns"]:
            column(c)
    lines.append("K\t\t*\t*")
    for c in columns["defaultColumns"]:
        column(c)
    text = HEADER + "/// Table columns by kind; `*` holds those of a kind that declares none.\n"
    text += "let columnText: StaticString = #\"\"\"\n" + "\n".join("  " + x for x in lines) + "\n  \"\"\"#\n"
    files["Sources/APISchema/Generated/ColumnText.swift"] = text
