// KeyChooser: which of a number of keys comes next, as a number from 0 on.
//
//   uniform   each alike
//   zipfian   some far more often than others: the one of rank r with a probability in proportion
//             to 1 / r^0.99 (Gray et al., "Quickly Generating Billion-Record Synthetic Databases",
//             SIGMOD 1994, section 3.2, with the constant of YCSB: Cooper et al., "Benchmarking
//             Cloud Serving Systems with YCSB", SoCC 2010). Ranks are spread over the keys by a
//             permutation, so that popular keys are no neighbours; YCSB hashes for that, which lets
//             some keys fall together.
//   latest    the newest most often, by the same law on their age (YCSB D)
//
// Pure, and const once it is made: any thread may draw with a Random of its own.

#ifndef GYRE_TEST_BENCH_KEY_CHOOSER_H_
#define GYRE_TEST_BENCH_KEY_CHOOSER_H_

#include <cstdint>
#include <string>

#include "ring/random.h"

namespace gyre {

enum class KeyLaw : uint8_t { kUniform, kZipfian, kLatest };

// Uniform in [0, 1).
[[nodiscard]] double UnitDraw(Random* random);

// Ranks from 0, the most frequent, to count - 1.
class ZipfianRanks {
 public:
  static constexpr double kTheta = 0.99;

  // Takes time in proportion to `count`: about 30 ms for a million. REQUIRES: count > 0.
  explicit ZipfianRanks(uint64_t count);

  [[nodiscard]] uint64_t Draw(Random* random) const;
  // Of the rank, exactly.
  [[nodiscard]] double Probability(uint64_t rank) const;

 private:
  const uint64_t count_;
  double zeta_ = 0;  // the sum of 1 / r^theta over all ranks
  double alpha_ = 0;
  double eta_ = 0;
  double half_power_ = 0;  // 1 / 2^theta
};

class KeyChooser {
 public:
  // REQUIRES: count > 0.
  KeyChooser(KeyLaw law, uint64_t count);

  // `newest` counts the keys that are there, at least `count`; only latest looks at it.
  [[nodiscard]] uint64_t Draw(Random* random, uint64_t newest) const;
  // The key that has this rank under the zipfian law.
  [[nodiscard]] uint64_t KeyOfRank(uint64_t rank) const;

 private:
  const KeyLaw law_;
  const uint64_t count_;
  const ZipfianRanks ranks_;
  uint64_t step_;  // coprime to count_: rank * step_ mod count_ visits every key once
};

// "user" and twelve digits: keys of one length, in the order of their numbers.
[[nodiscard]] std::string KeyName(uint64_t key);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_KEY_CHOOSER_H_
