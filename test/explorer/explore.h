// Explore: every order in which the events of a world may happen, up to a number of them; behind
// that the first that may happens, until none may. Orders that differ only in events that have
// nothing to do with each other come to the same, and one of them is tried.
//
// Stateless search with sleep sets (Godefroid, "Partial-Order Methods for the Verification of
// Concurrent Systems", LNCS 1032, 1996, section 5): a world is built anew and stepped to each
// place, so that it needs no copying.
//
// One thread.

#ifndef GYRE_TEST_EXPLORER_EXPLORE_H_
#define GYRE_TEST_EXPLORER_EXPLORE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gyre {

struct Exploration {
  uint64_t orders = 0;  // that were tried to their end
  uint64_t steps = 0;
  // The first that broke something, event by event, and what; or "".
  std::string broken;
};

// `make` builds a world; `depth`: events of which all orders are tried; `at_end` is told of each
// world as it ends. World: Event, Enabled(), Perform(), Independent(), Name().
template <typename World>
class Explorer {
 public:
  using Event = typename World::Event;
  using Make = std::function<std::unique_ptr<World>()>;
  using AtEnd = std::function<void(const World&)>;

  Explorer(Make make, size_t depth, AtEnd at_end)
      : make_(std::move(make)), depth_(depth), at_end_(std::move(at_end)) {}

  Exploration Run() {
    Visit(make_(), {});
    return result_;
  }

 private:
  // `world` stands where `path_` ends. `asleep`: events that need not be tried from here, for an
  // order that was tried before begins with them.
  void Visit(std::unique_ptr<World> world, std::set<Event> asleep) {
    if (path_.size() >= depth_) return Finish(std::move(world));
    const std::vector<Event> enabled = world->Enabled();
    if (enabled.empty()) return End(*world);
    bool first = true;
    for (const Event& event : enabled) {
      if (asleep.contains(event)) continue;
      // The world that stands here serves the first; for the others one is brought here anew.
      std::unique_ptr<World> next = first ? std::move(world) : Replay();
      first = false;
      path_.push_back(event);
      if (Step(next.get(), event)) {
        std::set<Event> still;
        for (const Event& other : asleep) {
          if (World::Independent(event, other)) still.insert(other);
        }
        Visit(std::move(next), std::move(still));
      }
      path_.pop_back();
      if (!result_.broken.empty()) return;
      asleep.insert(event);
    }
  }

  std::unique_ptr<World> Replay() {
    std::unique_ptr<World> world = make_();
    for (const Event& event : path_) {
      world->Perform(event);
      ++result_.steps;
    }
    return world;
  }

  bool Step(World* world, const Event& event) {
    ++result_.steps;
    const std::string broken = world->Perform(event);
    if (broken.empty()) return true;
    for (const Event& each : path_) result_.broken += World::Name(each) + "\n";
    result_.broken += broken;
    return false;
  }

  void Finish(std::unique_ptr<World> world) {
    const size_t length = path_.size();
    for (std::vector<Event> enabled = world->Enabled(); !enabled.empty();
         enabled = world->Enabled()) {
      path_.push_back(enabled.front());
      if (!Step(world.get(), enabled.front())) break;
    }
    path_.resize(length);
    if (result_.broken.empty()) End(*world);
  }

  void End(const World& world) {
    ++result_.orders;
    at_end_(world);
  }

  const Make make_;
  const size_t depth_;
  const AtEnd at_end_;
  std::vector<Event> path_;
  Exploration result_;
};

}  // namespace gyre

#endif  // GYRE_TEST_EXPLORER_EXPLORE_H_
