#include "api/client/batch_scope.h"

#include <algorithm>

#include "api/client/node_stream.h"

namespace gyre {
inline namespace sdk {
namespace {

thread_local BatchScope* innermost = nullptr;

}  // namespace

BatchScope::BatchScope(const void* owner) : owner_(owner), outer_(innermost) { innermost = this; }

BatchScope::~BatchScope() {
  innermost = outer_;
  for (NodeStream* node : nodes_) {
    if (!Defer(owner_, node)) node->Flush();
  }
}

bool BatchScope::Defer(const void* owner, NodeStream* node) {
  BatchScope* scope = Find(owner);
  if (scope == nullptr) return false;
  if (std::find(scope->nodes_.begin(), scope->nodes_.end(), node) == scope->nodes_.end()) {
    scope->nodes_.push_back(node);
  }
  return true;
}

BatchScope* BatchScope::Find(const void* owner) {
  for (BatchScope* scope = innermost; scope != nullptr; scope = scope->outer_) {
    if (scope->owner_ == owner) return scope;
  }
  return nullptr;
}

}  // namespace sdk
}  // namespace gyre
