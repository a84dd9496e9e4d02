"""The typed kinds: one Swift struct per type, with direct decoders and encoders."""
import re

from .model import HEADER

GROUP_TITLE = {"APIMeta": "meta", "APICore": "core"}
LIMIT = 420

# Core types by what they are about; the first match wins, the rest goes with the first kind that holds it.
FAMILIES = [
    ("Volumes", r"(VolumeSource|VolumeProjection|Projection|VolumeFile)$|^(Volume(?!Resource)|KeyToPath|ModifyVolume)"),
    ("PersistentVolumes", r"Persistent"),
    ("Probes", r"^(Probe|Lifecycle\w*|\w+Action|HTTPHeader|Handler)$"),
    ("Environment", r"^(Env\w*|\w+KeySelector|ObjectFieldSelector|ResourceFieldSelector|FileKeySelector)$"),
    ("Security", r"^(\w*SecurityContext|SELinuxOptions|SeccompProfile|AppArmorProfile|Capabilities|Sysctl|"
                 r"WindowsSecurityContextOptions)$"),
    ("Affinity", r"(Affinity|AffinityTerm|SchedulingTerm|NodeSelector\w*|^TopologySpread\w*|^Toleration|^Taint|"
                 r"^Topology\w+)$"),
    ("ContainerStatus", r"^Container(State|Status|User|Image|Extended)|^ResourceStatus|^ResourceHealth|^LinuxContainer"),
    ("Container", r"^(Container|EphemeralContainer|Resource(Requirements|Claim))"),
    ("Node", r"^(Node|AttachedVolume|DaemonEndpoint)"),
    ("Service", r"^(Service|LoadBalancer|PortStatus|ClientIP|SessionAffinity|Endpoint)"),
    ("PodStatus", r"^Pod(Status|Condition|IP|ResourceClaimStatus|ExtendedResource)|^HostIP$"),
    ("Pod", r"^Pod|^HostAlias$"),
    ("Quota", r"^(ResourceQuota|LimitRange|Scope)"),
    ("ReplicationController", r"^ReplicationController"),
    ("References", r"Reference$"),
    ("Config", r"^(ConfigMap|Secret|Namespace|Event|ServiceAccount|Binding|ComponentS)"),
]


def snake_file(world, t):
    """The file a type stands in, without its suffix."""
    if t.room == "APIMeta":
        if re.search(r"^(API|Server|GroupVersionForDiscovery|Version|MetaGroup)", t.name):
            return "Discovery"
        if re.search(r"^Table|^PartialObject", t.name):
            return "Table"
        return "Meta"
    if t.room == "APICore":
        for name, pattern in FAMILIES:
            if re.search(pattern, t.name):
                return name
        return "Other"
    package = t.openapi.rsplit(".", 1)[0]
    group = package.split(".")[-2]
    return group[0].upper() + group[1:] + ("V1" if package == "io.k8s.api.autoscaling.v1" else "")


def generate(world, files):
    grouped = {}
    for t in world.types.values():
        grouped.setdefault((t.room, snake_file(world, t)), []).append(t)
    for (room, name), types in sorted(grouped.items()):
        types.sort(key=lambda t: t.name)
        chunks, chunk, lines = [], [], 0
        used = []
        for t in types:
            text = struct(t, lambda ref: world.types[ref].is_kind)
            n = text.count("\n")
            if chunk and lines + n > LIMIT:
                chunks.append((chunk, used))
                chunk, used, lines = [], [], 0
            chunk.append(text)
            used.append(t)
            lines += n
        chunks.append((chunk, used))
        for i, (chunk, used) in enumerate(chunks):
            suffix = "" if i == 0 else str(i + 1)
            files["Sources/%s/Generated/%s%s.swift" % (room, name, suffix)] = (
                HEADER + imports(world, room, used) + "\n" + "\n".join(chunk))
    registry(world, files)
    round_trip_list(world, files)


def imports(world, room, types):
    """The rooms whose types show in the public signatures of a file's types."""
    rooms = {world.types[f.ref].room for t in types for f in t.fields if f.ref}
    text = "public import APICore\n" if room == "APIGroups" and "APICore" in rooms else ""
    text += "public import APIMachinery\n"
    return text if room == "APIMeta" else text + "public import APIMeta\n"


def title(t):
    parts = t.openapi.split(".")
    group, version, name = parts[-3], parts[-2], parts[-1]
    if version == "version":
        return "What a server says about its build."
    return "`%s/%s` %s." % (group, version, name)


def struct(t, is_kind):
    out = ["/// %s" % title(t)]
    protocols = ["APIObject" if t.is_kind else "APIType"]
    if t.hashable:
        protocols.append("Hashable")
    out.append("public struct %s: %s {" % (t.name, ", ".join(protocols)))
    if t.is_kind:
        out += kind_members(t)
    if t.boxed:
        out += boxed_members(t)
    else:
        out += ["  public var %s: %s%s" % (f.name, f.type, "" if f.ptr else " = " + f.zero) for f in t.fields]
        if t.fields:
            out.append("")
        out.append("  public init() {}")
    out += decoder(t)
    out += encoder(t, is_kind)
    out.append("}")
    return "\n".join(out) + "\n"


def kind_members(t):
    f = t.facts
    return [
        "  public static let kind = \"%s\"" % f["kind"],
        "  public static let group = \"%s\"" % f["group"],
        "  public static let version = \"%s\"" % f["version"],
        "  public static let resource = \"%s\"" % t.resource,
        "  public static let namespaced = %s" % ("true" if t.namespaced else "false"),
        "",
    ]


def boxed_members(t):
    out = ["  struct Values: %s, Sendable {" % ("Hashable" if t.hashable else "Equatable")]
    out += ["    var %s: %s%s" % (f.name, f.type, "" if f.ptr else " = " + f.zero) for f in t.fields]
    out += [
        "  }",
        "",
        "  private static let empty = COWBox(Values())",
        "  private var box: COWBox<Values>",
        "",
        "  public init() { box = Self.empty }",
        "",
    ]
    for f in t.fields:
        out += [
            "  public var %s: %s {" % (f.name, f.type),
            "    get { box.values.%s }" % f.plain,
            "    _modify { yield &box.values.%s }" % f.plain,
            "  }",
        ]
    return out


def decoder(t):
    target = "values" if t.boxed else "self"
    out = ["", "  public init(from reader: inout JSONReader) throws {", "    self.init()",
           "    if try reader.readNull() { return }", "    try reader.beginObject()"]
    if not t.fields:
        out += ["    while try reader.nextKey() != nil { try reader.skipValue() }", "  }"]
        return out
    if t.boxed:
        out.append("    var values = Values()")
    out += ["    while let key = try reader.nextKey() {", "      switch key.count {"]
    by_length = {}
    for f in t.fields:
        by_length.setdefault(len(f.json), []).append(f)
    for length in sorted(by_length):
        out.append("      case %d:" % length)
        first = True
        for f in by_length[length]:
            name = f.plain if f.plain != "init" else f.name
            line = "%s key.equals(\"%s\") {" % ("if" if first else "} else if", f.json)
            out.append("        " + line)
            line = "          %s.%s = try %s(from: &reader)" % (target, name, construct(f))
            if len(line) > 120:
                line = line.replace(" = try ", " =\n            try ")
            out.append(line)
            first = False
        out += ["        } else {", "          try reader.skipValue()", "        }"]
    out += ["      default: try reader.skipValue()", "      }", "    }"]
    if t.boxed:
        out.append("    box = COWBox(values)")
    out.append("  }")
    return out


def construct(f):
    return f.type if not f.ptr else "Optional<%s>" % f.type[:-1]


SCALAR = {"String": "string", "Bool": "bool", "Int32": "int32", "Int64": "int64", "Double": "double",
          "Time": "time", "MicroTime": "time", "Base64Bytes": "bytes", "JSONValue": "json"}


def encoder(t, is_kind):
    source = "values." if t.boxed else ""
    out = ["", "  public func encode(to writer: inout JSONWriter) {"]
    if t.boxed:
        out.append("    let values = box.values")
    out.append("    writer.beginObject()")
    for f in t.fields:
        name = (source + f.plain) if t.boxed else f.name
        if f.ptr:
            call = "optional"
        elif f.shape:
            call = "list" if f.shape[0] == "[" else "map"
        elif f.ref or f.base not in SCALAR:
            call = "object"
        else:
            call = SCALAR[f.base]
        if call == "object" and not f.always:
            raise SystemExit("no rule for an omitted %s.%s" % (t.name, f.json))
        if call == "list" and f.ref and is_kind(f.ref):
            call = "typedList"
        if f.always and call != "object":
            call += "Always"
        line = "    writer.%s(\"%s\", %s)" % (call, f.json, name)
        if len(line) > 120:
            line = "    writer.%s(\n      \"%s\", %s)" % (call, f.json, name)
        out.append(line)
    out += ["    writer.endObject()", "  }"]
    return out


def registry(world, files):
    names = sorted(t.name for t in world.types.values() if t.is_kind)
    text = HEADER + "import APICore\nimport APIGroups\npublic import APIMeta\n\nextension Kinds {\n"
    text += "  /// Every kind that has a type of its own.\n  public static let all: [any APIObject.Type] = [\n"
    text += "".join("    %s.self,\n" % n for n in names) + "  ]\n}\n"
    files["Sources/API/Generated/Kinds+All.swift"] = text


def round_trip_list(world, files):
    text = HEADER + "import API\nimport APICore\nimport APIGroups\nimport APIMeta\n\n"
    text += "/// Every generated type under its OpenAPI name.\nlet generatedTypes: [(String, any APIType.Type)] = [\n"
    for t in sorted(world.types.values(), key=lambda t: t.openapi):
        line = "  (\"%s\", %s.self),\n" % (t.openapi, t.name)
        if len(line) > 121:
            line = "  (\n    \"%s\",\n    %s.self\n  ),\n" % (t.openapi, t.name)
        text += line
    text += "]\n"
    files["Tests/APITests/Generated/GeneratedTypes.swift"] = text
