#include "server/data_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace gyre {
namespace {

namespace fs = std::filesystem;

constexpr char kStore[] = "store";
constexpr char kDamaged[] = "store.damaged";

absl::Status CannotUse(const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat("data_dir: ", path, " ", why));
}

absl::Status MakePrivate(const std::string& path) {
  if (mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("data_dir: cannot make ", path, ": ", std::strerror(errno)));
}

// RocksDB makes its log and its lock before anything else, so that a first start which was killed
// left one of these too, or nothing.
bool IsStore(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return false;
  for (const char* name : {"CURRENT", "LOCK", "LOG"}) {
    if (fs::exists(path / name, error)) return true;
  }
  return fs::is_empty(path, error);
}

// Beside what the logs take once more: a log, a manifest, and RocksDB's text. RocksDB itself ends
// the process where an open meets a full disk.
constexpr uint64_t kRoomToStart = uint64_t{8} << 20;

absl::Status CheckRoom(const std::string& path, const fs::path& store) {
  std::error_code error;
  uint64_t needed = kRoomToStart;
  for (fs::directory_iterator entry(store, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".log") needed += entry->file_size(error);
  }
  const fs::space_info space = fs::space(store, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("data_dir: cannot read ", path, ": ", error.message()));
  }
  if (space.available >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the disk of data_dir ", path, " is full: ", space.available,
                   " bytes are left, and a start may take ", needed, "; make room first"));
}

bool IsNobodysData(const fs::path& entry) {
  const std::string name = entry.filename().string();
  return name == "lost+found" || entry.extension() == ".log" || absl::StartsWith(name, kDamaged);
}

absl::Status CheckExisting(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    return absl::UnavailableError(
        absl::StrCat("data_dir: cannot read ", path, ": ", std::strerror(errno)));
  }
  if (!S_ISDIR(found.st_mode)) return CannotUse(path, "is not a directory");
  // Somebody else could exchange what is in it.
  if (geteuid() != 0 && found.st_uid != geteuid()) {
    return CannotUse(path, "is not ours: it belongs to another user");
  }
  if (IsStore(fs::path(path) / kStore)) return absl::OkStatus();
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (IsNobodysData(entry->path())) continue;
    return CannotUse(path,
                     absl::StrCat("is not empty and holds no store of Gyre (it has \"",
                                  entry->path().filename().string(),
                                  "\"); give an empty directory, or one that does not exist"));
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("data_dir: cannot read ", path, ": ", error.message()));
}

}  // namespace

absl::StatusOr<std::string> PrepareDataDirectory(const std::string& path) {
  // Without a slash at its end, which parent_path would take for a last name that is empty.
  const fs::path directory = fs::path(path) / "";
  std::error_code error;
  if (fs::exists(fs::symlink_status(directory.parent_path(), error))) {
    if (absl::Status status = CheckExisting(path); !status.ok()) return status;
  } else {
    const fs::path parents = directory.parent_path().parent_path();
    if (!parents.empty()) fs::create_directories(parents, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("data_dir: cannot make ", parents.string(), ": ", error.message()));
    }
    if (absl::Status status = MakePrivate(directory.parent_path().string()); !status.ok()) {
      return status;
    }
  }
  const std::string store = path + "/" + kStore;
  if (absl::Status status = MakePrivate(store); !status.ok()) return status;
  if (absl::Status status = CheckRoom(path, store); !status.ok()) return status;
  return store;
}

std::string DamageAdvice(const std::string& path, const std::string& name, Refill refill) {
  switch (refill) {
    case Refill::kByAnother:
      return absl::StrCat("the other owners hold this data, and since node \"", name,
                          "\" joined the cluster, another one is to be filled by them: start a "
                          "node of another name with join_waits, and run: gyre node replace ",
                          name, " OTHER");
    case Refill::kIfOthersJoined:
    case Refill::kInPlace:
      break;
  }
  const fs::path directory(path);
  const std::string command =
      absl::StrCat("run: mv '", (directory / kStore).string(), "' '",
                   (directory / kDamaged).string(), "' and start the node again");
  if (refill == Refill::kInPlace) {
    return absl::StrCat("the other owners hold this data. To have it filled by them, ", command);
  }
  return absl::StrCat(
      "where no node has joined the cluster since, no other node holds this data: restore a "
      "backup. "
      "Where some have, the other owners hold it; to have it filled by them, while they run, ",
      command);
}

absl::Status ExplainDamage(absl::Status status, const std::string& advice) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(absl::StrCat(status.message(), "; ", advice));
}

}  // namespace gyre
