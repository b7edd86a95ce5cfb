// Drives a fuzz target without libFuzzer: every seed of the directory that the command line names,
// and for each a fixed number of deterministic variations (cut short, bytes flipped, bytes
// doubled). It finds little that the fuzzer would not; it keeps each target building and its seeds
// passing in every build.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "ring/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace gyre {
namespace {

constexpr int kVariationsPerSeed = 2000;

void Run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::string Vary(std::string input, Random& random) {
  const int edits = 1 + static_cast<int>(random.Next() % 4);
  for (int i = 0; i < edits && !input.empty(); ++i) {
    const size_t at = random.Next() % input.size();
    switch (random.Next() % 3) {
      case 0:
        input.resize(at);
        break;
      case 1:
        input[at] = static_cast<char>(random.Next());
        break;
      default:
        input.insert(at, input.substr(at, 8));
    }
  }
  return input;
}

int Replay(const char* directory) {
  std::vector<std::filesystem::path> seeds;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    seeds.push_back(entry.path());
  }
  std::sort(seeds.begin(), seeds.end());
  Random random(1);
  Run("");
  for (const auto& path : seeds) {
    std::ifstream file(path, std::ios::binary);
    const std::string seed{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    Run(seed);
    for (int i = 0; i < kVariationsPerSeed; ++i) Run(Vary(seed, random));
  }
  std::printf("replayed %zu seeds\n", seeds.size());
  return seeds.empty() ? 1 : 0;
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY_OF_SEEDS\n", argv[0]);
    return 2;
  }
  return gyre::Replay(argv[1]);
}
