// Kubernetes resource quantities ("100m", "1.5Gi", "2e3"), held exactly in units of 10^-9, and printed canonically
// (apimachinery resource.Quantity: the suffix family of the input is kept).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace k8lite {

class Quantity {
 public:
  enum class Format : unsigned char { DecimalSI, BinarySI, DecimalExponent };
  Quantity() = default;
  static std::optional<Quantity> parse(std::string_view text);
  static Quantity of(int64_t whole, Format f = Format::DecimalSI);
  static Quantity milli(int64_t thousandths);

  int64_t value() const;        // rounded up to whole units, as Quantity.Value()
  int64_t milli_value() const;  // rounded up to thousandths, as Quantity.MilliValue()
  double as_double() const;
  std::string str() const;
  bool is_zero() const { return nano_ == 0; }
  bool is_negative() const { return nano_ < 0; }

  Quantity operator+(const Quantity& o) const;
  Quantity operator-(const Quantity& o) const;
  bool operator==(const Quantity& o) const { return nano_ == o.nano_; }
  auto operator<=>(const Quantity& o) const { return nano_ <=> o.nano_; }

 private:
  __int128 nano_ = 0;
  Format format_ = Format::DecimalSI;
};

}  // namespace k8lite
