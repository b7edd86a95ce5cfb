// ScratchDirectory: a directory of a test's own, made and removed with the object.
//
// In a process that a test started anew (a death test) it is the directory of the test that started
// it, which keeps it: so a test can look at what a killed process left. One thread; one at a time.

#ifndef GYRE_STORAGE_SCRATCH_DIRECTORY_H_
#define GYRE_STORAGE_SCRATCH_DIRECTORY_H_

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "ring/check.h"

namespace gyre {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    if (const char* inherited = getenv(kVariable); inherited != nullptr) {
      path_ = inherited;
      return;
    }
    path_ = (std::filesystem::temp_directory_path() / "gyre-XXXXXX").string();
    GYRE_CHECK(mkdtemp(path_.data()) != nullptr, "a test needs a scratch directory");
    GYRE_CHECK(setenv(kVariable, path_.c_str(), 1) == 0, "the environment has room");
    owned_ = true;
  }
  ~ScratchDirectory() {
    if (!owned_) return;
    unsetenv(kVariable);
    std::filesystem::remove_all(path_);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  static constexpr const char* kVariable = "GYRE_SCRATCH_DIRECTORY";

  std::string path_;
  bool owned_ = false;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_SCRATCH_DIRECTORY_H_
