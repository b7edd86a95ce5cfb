#include "api/cli/interrupt.h"

#include <atomic>

#include "ring/check.h"

namespace gyre {
namespace {

std::atomic<bool> noted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal may interrupt anything");

void Note(int) { noted.store(true); }

}  // namespace

InterruptScope::InterruptScope() {
  noted.store(false);
  struct sigaction note = {};
  note.sa_handler = Note;
  note.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  GYRE_CHECK(sigaction(SIGINT, &note, &before_) == 0, "SIGINT can be caught");
}

InterruptScope::~InterruptScope() {
  GYRE_CHECK(sigaction(SIGINT, &before_, nullptr) == 0, "SIGINT can be given back");
}

bool InterruptScope::interrupted() const { return noted.load(); }

}  // namespace gyre
