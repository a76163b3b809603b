// The text formats of Kubernetes' names and values, each with upstream's words for what is wrong (apimachinery
// util/validation).
#include <algorithm>

#include "api/rules/addresses.h"
#include "api/rules/check.h"
#include "base/strings.h"

namespace k8lite::api::rules {
namespace {

bool lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool alnum(char c) { return alpha(c) || (c >= '0' && c <= '9'); }
bool all_of(std::string_view t, bool (*good)(char)) { return std::all_of(t.begin(), t.end(), good); }

// One run of [a-z0-9-] that begins and ends with a letter or digit.
bool label_chars(std::string_view t) {
  return !t.empty() && lower_alnum(t.front()) && lower_alnum(t.back()) &&
         all_of(t, [](char c) { return lower_alnum(c) || c == '-'; });
}
bool subdomain_chars(std::string_view t, bool underscore) {
  for (std::string_view part : split(t, '.')) {
    std::string plain(part);
    if (underscore) {
      if (plain.starts_with('_')) plain.erase(0, 1);
      for (size_t i = 1; i + 1 < plain.size(); ++i)
        if (plain[i] == '_') plain[i] = '-';
    }
    if (!label_chars(plain)) return false;
  }
  return true;
}
bool name_chars(std::string_view t) {
  return !t.empty() && alnum(t.front()) && alnum(t.back()) &&
         all_of(t, [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string longest(size_t n) { return "must be no more than " + std::to_string(n) + " bytes"; }

// What apimachinery's RegexError makes of a message, a pattern and examples ("a b c").
std::string pattern(std::string_view words, std::string_view regex, std::string_view examples) {
  std::string out = std::string(words) + " (e.g. ";
  bool first = true;
  for (std::string_view e : split(examples, ' ')) {
    if (!first) out += " or ";
    first = false;
    out.append("'").append(e).append("', ");
  }
  return out.append("regex used for validation is '").append(regex).append("')");
}

#define LABEL_PATTERN "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

void label(std::string_view t, Texts& out) {
  if (t.size() > 63) out.push_back(longest(63));
  if (label_chars(t)) return;
  if (subdomain_chars(t, false)) return out.push_back("must not contain dots");
  out.push_back(
      pattern("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
              "and end with an alphanumeric character",
              LABEL_PATTERN, "my-name 123-abc"));
}

void subdomain(std::string_view t, Texts& out) {
  if (t.size() > 253) out.push_back(longest(253));
  if (!subdomain_chars(t, false))
    out.push_back(
        pattern("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
                "must start and end with an alphanumeric character",
                LABEL_PATTERN "(\\." LABEL_PATTERN ")*", "example.com"));
}

void qualified(std::string_view t, Texts& out) {
  constexpr std::string_view kWords =
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  constexpr std::string_view kRegex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", kExamples = "MyName my.name 123-abc";
  auto parts = split(t, '/');
  if (parts.size() > 2)
    return out.push_back("a qualified name " + pattern(kWords, kRegex, kExamples) +
                         " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
  if (parts.size() == 2) {
    if (parts[0].empty())
      out.push_back("prefix part must be non-empty");
    else
      for (const auto& m : mistakes(Format::Subdomain, parts[0])) out.push_back("prefix part " + m);
  }
  std::string_view name = parts.back();
  if (name.empty())
    out.push_back("name part must be non-empty");
  else if (name.size() > 63)
    out.push_back("name part " + longest(63));
  if (!name_chars(name)) out.push_back("name part " + pattern(kWords, kRegex, kExamples));
}

void config_key(std::string_view t, Texts& out) {
  if (t.size() > 253) out.push_back(longest(253));
  if (t.empty() || !all_of(t, [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; }))
    out.push_back(pattern("a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                          "[-._a-zA-Z0-9]+", "key.name KEY_NAME key-name"));
  if (t == "." || t == "..")
    out.push_back("must not be '" + std::string(t) + "'");
  else if (t.starts_with(".."))
    out.push_back("must not start with '..'");
}

void port_name(std::string_view t, Texts& out) {
  if (t.size() > 15) out.push_back(longest(15));
  if (t.empty() || !all_of(t, [](char c) { return lower_alnum(c) || c == '-'; }))
    out.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (!std::any_of(t.begin(), t.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
    out.push_back("must contain at least one letter (a-z)");
  if (t.find("--") != t.npos) out.push_back("must not contain consecutive hyphens");
  if (!t.empty() && (t.front() == '-' || t.back() == '-')) out.push_back("must not begin or end with a hyphen");
}

void path(Format f, std::string_view t, Texts& out) {
  if (f != Format::NoBacksteps && t.starts_with('/')) out.push_back("must be a relative path");
  for (std::string_view part : split(t, '/'))
    if (part == "..") {
      out.push_back("must not contain '..'");
      break;
    }
  if (f == Format::LocalPath && t.starts_with("..") && !t.starts_with("../")) out.push_back("must not start with '..'");
}

void domain_path(std::string_view t, Texts& out) {
  size_t slash = t.find('/');
  if (slash == t.npos || slash == 0 || slash + 1 == t.size())
    return out.push_back("must be a domain-prefixed path (such as \"acme.io/foo\")");
  for (auto& m : mistakes(Format::Subdomain, t.substr(0, slash))) out.push_back(std::move(m));
  if (!all_of(t.substr(slash + 1), [](char c) {
        return alnum(c) || std::string_view("/-._~%!$&'()*+,;=:").find(c) != std::string_view::npos;
      }))
    out.push_back("Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
}

void other(Format f, std::string_view t, Texts& out) {
  auto need = [&out](bool good, std::string words) {
    if (!good) out.push_back(std::move(words));
  };
  switch (f) {
    case Format::Label1035:
      need(t.size() <= 63, longest(63));
      return need(label_chars(t) && t[0] >= 'a',
                  pattern("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
                          "alphabetic character, and end with an alphanumeric character",
                          "[a-z]([-a-z0-9]*[a-z0-9])?", "my-name abc-123"));
    case Format::LabelValue:
      need(t.size() <= 63, longest(63));
      return need(t.empty() || name_chars(t),
                  pattern("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
                          "'.', and must start and end with an alphanumeric character",
                          "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", "MyValue my_value 12345"));
    case Format::SubdomainUnderscore:
      need(t.size() <= 253, longest(253));
      return need(subdomain_chars(t, true),
                  pattern("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' "
                          "or '.', and must start and end with an alphanumeric character",
                          "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*", "example.com"));
    case Format::EnvName:
      return need(!t.empty() && all_of(t, [](char c) { return c >= ' ' && c <= '~' && c != '='; }),
                  "a valid environment variable name must consist only of printable ASCII characters other than '='");
    case Format::Ip:
      return need(parse_ip(t).has_value(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    case Format::Cidr:
      return need(parse_cidr(t).has_value(), "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    case Format::HttpHeader:
      return need(!t.empty() && all_of(t, [](char c) { return alnum(c) || c == '-'; }),
                  pattern("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+",
                          "X-Header-Name"));
    case Format::PathSegment:
      if (t == "." || t == "..") return out.push_back("may not be '" + std::string(t) + "'");
      for (char c : {'/', '%'}) need(t.find(c) == t.npos, std::string("may not contain '") + c + "'");
      return;
    case Format::AbsolutePath:
      return need(t.starts_with('/'), "must be an absolute path");
    case Format::FullyQualified:
      subdomain(t, out);
      return need(!out.empty() || split(t, '.').size() >= 3,
                  "should be a domain with at least three segments separated by dots");
    case Format::CIdentifier:
      return need(!t.empty() && (alpha(t[0]) || t[0] == '_') && all_of(t, [](char c) { return alnum(c) || c == '_'; }),
                  pattern("a valid C identifier must start with alphabetic character or '_', followed by a string of "
                          "alphanumeric characters or '_'",
                          "[A-Za-z_][A-Za-z0-9_]*", "my_name MY_NAME MyName"));
    default:
      return;
  }
}

}  // namespace

Texts mistakes(Format format, std::string_view text) {
  Texts out;
  switch (format) {
    case Format::Label:
      label(text, out);
      break;
    case Format::Subdomain:
      subdomain(text, out);
      break;
    case Format::Qualified:
      qualified(text, out);
      break;
    case Format::ConfigKey:
      config_key(text, out);
      break;
    case Format::PortName:
      port_name(text, out);
      break;
    case Format::RelativePath:
    case Format::LocalPath:
    case Format::NoBacksteps:
      path(format, text, out);
      break;
    case Format::DomainPath:
      domain_path(text, out);
      break;
    default:
      other(format, text, out);
  }
  return out;
}

}  // namespace k8lite::api::rules
