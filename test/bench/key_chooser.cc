#include "test/bench/key_chooser.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ring/check.h"

namespace gyre {

double UnitDraw(Random* random) {
  return static_cast<double>(random->Next() >> 11) * 0x1.0p-53;  // 53 bits: all a double holds
}

ZipfianRanks::ZipfianRanks(uint64_t count) : count_(count) {
  GYRE_CHECK(count > 0, "a law over no keys");
  for (uint64_t rank = count; rank > 0; --rank) {  // the small ones first, for precision
    zeta_ += 1 / std::pow(static_cast<double>(rank), kTheta);
  }
  half_power_ = std::pow(0.5, kTheta);
  alpha_ = 1 / (1 - kTheta);
  const double zeta_of_two = 1 + half_power_;
  eta_ = (1 - std::pow(2 / static_cast<double>(count), 1 - kTheta)) / (1 - zeta_of_two / zeta_);
}

uint64_t ZipfianRanks::Draw(Random* random) const {
  const double draw = UnitDraw(random);
  const double scaled = draw * zeta_;
  if (count_ == 1 || scaled < 1) return 0;
  if (count_ == 2 || scaled < 1 + half_power_) return 1;
  const double rank = static_cast<double>(count_) * std::pow(eta_ * draw - eta_ + 1, alpha_);
  return std::min(static_cast<uint64_t>(rank), count_ - 1);
}

double ZipfianRanks::Probability(uint64_t rank) const {
  return 1 / std::pow(static_cast<double>(rank + 1), kTheta) / zeta_;
}

KeyChooser::KeyChooser(KeyLaw law, uint64_t count)
    : law_(law), count_(count), ranks_(law == KeyLaw::kUniform ? 1 : count) {
  // Near the golden section, so that ranks that follow each other land far apart.
  step_ = std::max<uint64_t>(1, static_cast<uint64_t>(static_cast<double>(count) * 0.6180339887));
  while (std::gcd(step_, count_) != 1) ++step_;
}

uint64_t KeyChooser::KeyOfRank(uint64_t rank) const {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(rank) * step_ % count_);
}

uint64_t KeyChooser::Draw(Random* random, uint64_t newest) const {
  switch (law_) {
    case KeyLaw::kUniform:
      return random->Below(count_);
    case KeyLaw::kZipfian:
      return KeyOfRank(ranks_.Draw(random));
    case KeyLaw::kLatest:
      break;
  }
  return newest - 1 - ranks_.Draw(random);
}

std::string KeyName(uint64_t key) {
  std::string digits = std::to_string(key);
  if (digits.size() < 12) digits.insert(0, 12 - digits.size(), '0');
  return "user" + digits;
}

}  // namespace gyre
