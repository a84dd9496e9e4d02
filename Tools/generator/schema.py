"""The schema table as compact text that is read once, on first use: code would take minutes to compile."""
import json

from .model import HEADER

LINES = 480


def generate(facts, files):
    types = facts["types"]
    packages = sorted({n.rsplit(".", 1)[0] for n in types})
    index = {p: i for i, p in enumerate(packages)}

    def short(name):
        package, last = name.rsplit(".", 1)
        return "%d:%s" % (index[package], last)

    def kind(text):
        prefix = ""
        while text[:2] in ("[]", "{}"):
            prefix += text[:2]
            text = text[2:]
        return prefix + (short(text) if "." in text else text)

    lines = ["P\t%s" % p for p in packages]
    for name in sorted(types):
        t = types[name]
        head = ["T", short(name)]
        gvk = "%s/%s/%s" % (t["group"], t["version"], t["kind"]) if "kind" in t else ""
        flags = ("e" if t.get("everyGroupVersion") else "") + ("u" if t.get("unpublished") else "")
        head += [gvk, flags, t.get("mapType", ""), t.get("proto", "")]
        # Proto names mostly follow from the OpenAPI name; those are left out.
        if head[5] == default_proto(name):
            head[5] = "="
        lines.append("\t".join(head).rstrip("\t"))
        for via, inline in sorted(t.get("inline", {}).items()):
            lines.append("V\t%s\t%s\t%s" % (via, inline["n"], short(inline["type"])))
        for union in t.get("unions", []):
            lines.append("U\t%s\t%s" % (union.get("discriminator", ""), "|".join(sorted(union["members"]))))
        for field in sorted(t["fields"]):
            lines.append(field_line(field, t["fields"][field], kind))
    chunks = [lines[i:i + LINES] for i in range(0, len(lines), LINES)]
    names = []
    for i, chunk in enumerate(chunks):
        name = "schemaText%d" % (i + 1)
        names.append(name)
        files["Sources/APISchema/Generated/SchemaText%d.swift" % (i + 1)] = (
            HEADER + "let %s: StaticString = #\"\"\"\n" % name + "\n".join("  " + x for x in chunk) + "\n  \"\"\"#\n")
    files["Sources/APISchema/Generated/SchemaText.swift"] = (
        HEADER + "/// The parts of the schema's text, in order; SchemaParser explains the form.\n"
        + "let schemaTexts: [StaticString] = [\n" + "".join("  %s,\n" % n for n in names) + "]\n"
        + "\n/// How many types the text holds.\nlet schemaTypeCount = %d\n" % len(types))


def default_proto(name):
    package, last = name.rsplit(".", 1)
    return package.replace("io.k8s.", "k8s.io.", 1).replace("-", "_") + "." + last


def field_line(name, f, kind):
    flags = "".join(c for c, k in (("r", "required"), ("p", "ptr"), ("a", "always")) if f.get(k))
    parts = [name, kind(f["type"]), str(f.get("n", "")), flags]
    if "default" in f:
        parts.append("d=" + json.dumps(f["default"], separators=(",", ":")))
    if "enum" in f:
        parts.append("e=" + "|".join(f["enum"]))
    for letter, key in (("l", "listType"), ("m", "mapType"), ("S", "structType"), ("s", "patchStrategy"),
                        ("y", "patchMergeKey"), ("v", "via"), ("N", "protoName"), ("P", "protoType")):
        if key in f:
            parts.append("%s=%s" % (letter, f[key]))
    if "listMapKeys" in f:
        parts.append("k=" + "|".join(f["listMapKeys"]))
    return "\t".join(parts).rstrip("\t")
