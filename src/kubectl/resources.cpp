// -f is read document by document; Lists are opened. Words are looked up in discovery.
#include "kubectl/resources.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "base/yaml.h"
#include "kubectl/kustomize.h"
#include "os/files.h"

namespace k8lite::kubectl {

using json::Node;

namespace {

constexpr size_t kMaxSource = 64 << 20;

async::Task<Result<std::string>> fetch(std::shared_ptr<net::HttpClient> http, std::string target) {
  net::ClientRequest request{"GET", target, {}, ""};
  CO_TRY(auto response, co_await http->send(std::move(request)));
  CO_TRY(std::string body, co_await response->read_body(kMaxSource));
  if (response->status != 200) co_return usage("the server answered " + std::to_string(response->status));
  co_return body;
}

Result<std::string> read_stdin() {
  std::string out;
  char buffer[65536];
  for (ssize_t n; (n = ::read(0, buffer, sizeof buffer)) != 0;) {
    if (n < 0) return Status::from_errno("read stdin", errno);
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > kMaxSource) return usage("stdin: more than 64 MiB");
  }
  return out;
}

bool is_dir(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

void collect_files(const std::string& dir, bool recursive, std::vector<std::string>& out) {
  for (const std::string& name : os::list_dir(dir)) {
    std::string path = dir + (dir.ends_with('/') ? "" : "/") + name;
    if (is_dir(path)) {
      if (recursive) collect_files(path, recursive, out);
    } else if (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json")) {
      out.push_back(path);
    }
  }
}

void open_lists(Node object, std::vector<Node>& out) {
  if (object["kind"].str().ends_with("List") && object.find("items")) {
    for (Node& item : object["items"].items()) open_lists(std::move(item), out);
  } else {
    out.push_back(std::move(object));
  }
}

Result<> add_object(Session& s, Node object, const std::string& source, std::vector<Target>& out) {
  Target t;
  t.source = source;
  std::string api = std::as_const(object)["apiVersion"].str(), kind = std::as_const(object)["kind"].str();
  if (kind.empty() || api.empty())
    return usage("unable to decode " + json::quoted(source) + ": Object '" + (kind.empty() ? "Kind" : "apiVersion") + "' is missing in '" + object.dump().substr(0, 500) + "'");
  t.name = object.path("metadata.name").str();
  TRY(const Discovery* d, s.discovery());
  const Mapping* m = d->find_kind(api, kind);
  if (!m)
    return usage("resource mapping not found for name: " + json::quoted(t.name) + " namespace: " + json::quoted(object.path("metadata.namespace").str()) + " from " +
                 json::quoted(source) + ": no matches for kind " + json::quoted(kind) + " in version " + json::quoted(api) + "\nensure CRDs are installed first");
  t.mapping = *m;
  if (m->namespaced) {
    t.ns = object.path("metadata.namespace").str();
    if (t.ns.empty()) {
      TRY(t.ns, s.ns());
      object["metadata"].set("namespace", t.ns);
    } else if (s.ns_given() && s.flags.text("namespace") != t.ns) {
      return usage("the namespace from the provided object " + json::quoted(t.ns) + " does not match the namespace " + json::quoted(s.flags.text("namespace")) +
                   ". You must pass '--namespace=" + t.ns + "' to perform this operation.");
    }
  }
  t.object = std::move(object);
  out.push_back(std::move(t));
  return {};
}

Result<> expand(Session& s, const Target& type, std::vector<Target>& out) {
  TRY(auto objects, list_objects(s, type.mapping, s.all_namespaces() ? "" : type.ns, s.flags.text("selector"), s.flags.text("field-selector")));
  for (Node& o : objects) {
    Target t = type;
    t.name = o.path("metadata.name").str();
    t.ns = o.path("metadata.namespace").str();
    t.object = std::move(o);
    out.push_back(std::move(t));
  }
  return {};
}

}  // namespace

Result<std::string> read_source(Session& s, const std::string& name) {
  if (name == "-") return read_stdin();
  if (name.starts_with("http://") || name.starts_with("https://")) {
    TRY(auto url, net::Url::parse(name));
    net::HttpClientOptions options{.host = url.host, .port = url.port, .tls = nullptr};
    if (url.scheme == "https") {
      TRY(options.tls, net::make_tls_client({}));
    }
    auto text = async::block_on(s.loop(), fetch(net::make_http_client(s.loop(), options), url.target));
    if (!text.ok()) return usage("unable to read URL " + json::quoted(name) + ", " + text.status().message());
    return text;
  }
  if (!os::exists(name)) return usage("the path " + json::quoted(name) + " does not exist");
  return os::read_file(name);
}

Result<std::vector<Target>> targets_from_files(Session& s) {
  std::vector<Target> out;
  if (s.flags.changed("kustomize")) {
    if (s.flags.changed("filename")) return usage("only one of -f and -k can be given");
    auto objects = build_kustomization(s.flags.text("kustomize"));
    if (!objects.ok()) return usage(objects.status().message());
    for (Node& o : *objects) {
      auto added = add_object(s, std::move(o), s.flags.text("kustomize"), out);
      if (!added.ok()) s.fail(added.status());
    }
  }
  for (const std::string& given : s.flags.list("filename")) {
    std::vector<std::string> files;
    if (given != "-" && is_dir(given)) {
      collect_files(given, s.flags.on("recursive"), files);
      if (files.empty()) return usage("error reading [" + given + "]: recognized file extensions are [.json .yaml .yml]");
    } else {
      files.push_back(given);
    }
    for (const std::string& file : files) {
      TRY(std::string text, read_source(s, file));
      std::string shown = file == "-" ? "STDIN" : file;
      auto documents = parse_yaml(text, shown);
      if (!documents.ok()) return usage("error parsing " + documents.status().message());
      for (YamlDocument& document : *documents) {
        if (document.value.is_null()) continue;
        if (!document.value.is_object()) {
          s.fail(usage("error parsing " + shown + ": line " + std::to_string(document.line) + ": the document is not an object"));
          continue;
        }
        std::vector<Node> objects;
        open_lists(std::move(document.value), objects);
        for (Node& o : objects) {
          auto added = add_object(s, std::move(o), shown, out);
          if (!added.ok()) s.fail(added.status());
        }
      }
    }
  }
  if (out.empty() && !s.exit_code) return usage("no objects passed to " + s.command_path.substr(s.command_path.find(' ') + 1));
  return out;
}

Result<std::vector<Target>> targets_from_words(Session& s, const std::vector<std::string>& words) {
  std::vector<Target> out;
  TRY(std::string ns, s.ns());
  auto target = [&ns](const Mapping& m, std::string name) {
    Target t;
    t.mapping = m;
    t.ns = m.namespaced ? ns : "";
    t.name = std::move(name);
    return t;
  };
  bool slash = std::any_of(words.begin(), words.end(), [](const std::string& w) { return w.find('/') != std::string::npos; });
  if (slash) {
    for (const std::string& w : words) {
      size_t at = w.find('/');
      if (at == std::string::npos)
        return usage("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. '" + s.command_path +
                     " resource/<resource_name>' instead of '" + s.command_path + " resource resource/<resource_name>'");
      if (at == 0 || at + 1 == w.size() || w.find('/', at + 1) != std::string::npos)
        return usage("arguments in resource/name form must have a single resource and name");
      TRY(Mapping m, s.mapping(w.substr(0, at)));
      out.push_back(target(m, w.substr(at + 1)));
    }
    return out;
  }
  if (words.empty()) return out;
  std::vector<Mapping> types;
  for (const std::string& word : split_strings(words[0], ',')) {
    if (word.empty()) continue;
    TRY(const Discovery* d, s.discovery());
    auto category = d->find(word) ? std::vector<const Mapping*>{} : d->category(word);
    for (const Mapping* m : category) types.push_back(*m);
    if (!category.empty()) continue;
    TRY(Mapping m, s.mapping(word));
    types.push_back(m);
  }
  for (const Mapping& m : types) {
    if (words.size() == 1) out.push_back(target(m, ""));
    for (size_t i = 1; i < words.size(); ++i) out.push_back(target(m, words[i]));
  }
  return out;
}

Result<std::vector<Target>> choose_targets(Session& s, const Choose& c) {
  std::vector<Target> found, out;
  bool files = s.flags.changed("filename") || s.flags.changed("kustomize");
  if (files) {
    TRY(found, targets_from_files(s));
  } else {
    TRY(found, targets_from_words(s, c.words ? *c.words : s.flags.args));
    if (found.empty()) return usage("You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'");
  }
  bool selected = s.flags.changed("selector") || s.flags.changed("field-selector") || s.flags.on("all");
  for (Target& t : found) {
    if (t.name.empty()) {
      if (files) {
        s.fail(usage("resource name may not be empty"));
        continue;
      }
      if (!selected && !c.types_alone) return usage("resource(s) were provided, but no name was specified");
      TRY_OK(expand(s, t, out));
      continue;
    }
    if (selected && !files && s.flags.changed("selector")) return usage("name cannot be provided when a selector is specified");
    if (c.fetch) {
      auto got = s.get(t.url());
      if (!got.ok()) {
        s.fail(got.status());
        continue;
      }
      t.object = std::move(got).value();
    }
    out.push_back(std::move(t));
  }
  return out;
}

Result<std::vector<Node>> list_objects(Session& s, const Mapping& m, const std::string& ns, const std::string& labels, const std::string& fields, std::string* version) {
  std::vector<Node> out;
  std::string next;
  do {
    TRY(Node list, s.get(with_query(url_of(m, ns), {{"labelSelector", labels}, {"fieldSelector", fields}, {"limit", "500"}, {"continue", next}})));
    for (Node& item : list["items"].items()) {
      if (std::as_const(item)["kind"].str().empty()) {
        item.members().insert(item.members().begin(), {{"apiVersion", m.api_version()}, {"kind", m.kind}});
      }
      out.push_back(std::move(item));
    }
    if (version) *version = std::as_const(list).path("metadata.resourceVersion").str();
    next = std::as_const(list).path("metadata.continue").str();
  } while (!next.empty());
  return out;
}

}  // namespace k8lite::kubectl
