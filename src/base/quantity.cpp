#include "base/quantity.h"

#include <algorithm>

namespace k8lite {
namespace {

constexpr __int128 kNano = 1'000'000'000;

struct Suffix {
  std::string_view text;
  Quantity::Format format;
  __int128 nano;  // value of one in units of 10^-9
};

constexpr __int128 pow_of(__int128 base, int n) {
  __int128 v = 1;
  while (n-- > 0) v *= base;
  return v;
}

using F = Quantity::Format;
constexpr Suffix kSuffixes[] = {
    {"n", F::DecimalSI, 1}, {"u", F::DecimalSI, 1000}, {"m", F::DecimalSI, 1'000'000}, {"", F::DecimalSI, kNano},
    {"k", F::DecimalSI, kNano * 1000}, {"M", F::DecimalSI, kNano * pow_of(1000, 2)}, {"G", F::DecimalSI, kNano * pow_of(1000, 3)},
    {"T", F::DecimalSI, kNano * pow_of(1000, 4)}, {"P", F::DecimalSI, kNano * pow_of(1000, 5)}, {"E", F::DecimalSI, kNano * pow_of(1000, 6)},
    {"Ki", F::BinarySI, kNano << 10}, {"Mi", F::BinarySI, kNano << 20}, {"Gi", F::BinarySI, kNano << 30},
    {"Ti", F::BinarySI, kNano << 40}, {"Pi", F::BinarySI, kNano << 50}, {"Ei", F::BinarySI, kNano << 60},
};
constexpr __int128 kMax = static_cast<__int128>(INT64_MAX) * kNano;

std::string text_of(__int128 v) {
  bool negative = v < 0;
  if (negative) v = -v;
  std::string out;
  do out += static_cast<char>('0' + static_cast<int>(v % 10)), v /= 10;
  while (v > 0);
  if (negative) out += '-';
  std::reverse(out.begin(), out.end());
  return out;
}

int64_t ceil_div(__int128 v, __int128 by) {
  __int128 q = v / by;
  if (v > 0 && v % by) ++q;
  return static_cast<int64_t>(q);
}

}  // namespace

std::optional<Quantity> Quantity::parse(std::string_view text) {
  size_t i = 0;
  bool negative = false;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) negative = text[i++] == '-';
  __int128 digits = 0, scale = 1;
  bool any = false, dot = false, inexact = false;
  for (; i < text.size(); ++i) {
    char c = text[i];
    if (c == '.' && !dot) {
      dot = true;
    } else if (c >= '0' && c <= '9') {
      any = true;
      if (dot && scale >= pow_of(10, 12)) {
        inexact |= c != '0';
        continue;
      }
      if (digits > pow_of(10, 24)) return {};
      digits = digits * 10 + (c - '0');
      if (dot) scale *= 10;
    } else {
      break;
    }
  }
  if (!any) return {};
  std::string_view suffix = text.substr(i);
  Quantity q;
  __int128 unit = 0;
  for (const auto& s : kSuffixes)
    if (s.text == suffix) unit = s.nano, q.format_ = s.format;
  if (unit == 0) {
    if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E')) return {};
    int sign = 1, exponent = 0;
    size_t k = 1;
    if (suffix[k] == '+' || suffix[k] == '-') sign = suffix[k++] == '-' ? -1 : 1;
    if (k == suffix.size() || suffix.size() - k > 2) return {};
    for (; k < suffix.size(); ++k) {
      if (suffix[k] < '0' || suffix[k] > '9') return {};
      exponent = exponent * 10 + (suffix[k] - '0');
    }
    q.format_ = Format::DecimalExponent;
    unit = kNano;
    if (exponent > 18) return {};
    if (sign > 0) digits *= pow_of(10, exponent);
    else scale *= pow_of(10, std::min(exponent, 12));
  }
  if (digits != 0 && unit > kMax * 1000 / digits * 1000) digits = kMax / unit * scale;
  __int128 nano = digits * unit / scale;
  if (digits * unit % scale != 0 || inexact) ++nano;  // upstream rounds up below a nano
  q.nano_ = std::min(nano, kMax);
  if (negative) q.nano_ = -q.nano_;
  return q;
}

Quantity Quantity::of(int64_t whole, Format f) {
  Quantity q;
  q.nano_ = static_cast<__int128>(whole) * kNano;
  q.format_ = f;
  return q;
}

Quantity Quantity::milli(int64_t thousandths) {
  Quantity q;
  q.nano_ = static_cast<__int128>(thousandths) * 1'000'000;
  return q;
}

int64_t Quantity::value() const { return ceil_div(nano_, kNano); }
int64_t Quantity::milli_value() const { return ceil_div(nano_, 1'000'000); }
double Quantity::as_double() const { return static_cast<double>(nano_) / 1e9; }

std::string Quantity::str() const {
  if (nano_ == 0) return "0";
  __int128 a = nano_ < 0 ? -nano_ : nano_;
  if (format_ == Format::BinarySI && a >= kNano * 1024 && a % kNano == 0) {
    for (const auto* s = std::end(kSuffixes); s-- != std::begin(kSuffixes);)
      if (s->format == Format::BinarySI && a % s->nano == 0) return text_of(nano_ / s->nano).append(s->text);
    return text_of(nano_ / kNano);
  }
  if (format_ == Format::DecimalExponent) {
    for (int e = 18; e >= -9; e -= 3) {
      __int128 unit = e >= 0 ? kNano * pow_of(10, e) : kNano / pow_of(10, -e);
      if (a % unit == 0) return text_of(nano_ / unit) + (e ? "e" + std::to_string(e) : "");
    }
  }
  for (size_t i = 10; i-- > 0;)
    if (a % kSuffixes[i].nano == 0) return text_of(nano_ / kSuffixes[i].nano).append(kSuffixes[i].text);
  return text_of(nano_) + "n";
}

Quantity Quantity::operator+(const Quantity& o) const {
  Quantity q = *this;
  if (is_zero()) q.format_ = o.format_;
  q.nano_ += o.nano_;
  return q;
}

Quantity Quantity::operator-(const Quantity& o) const {
  Quantity q = *this;
  if (is_zero()) q.format_ = o.format_;
  q.nano_ -= o.nano_;
  return q;
}

}  // namespace k8lite
