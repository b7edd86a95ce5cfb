// Bytes of a client: a ClientFrame, each of its requests translated against a topology with one
// table of each policy. What passes must keep to the limits.

#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "api/limits.h"
#include "api/proto/gyre.pb.h"
#include "api/request_translation.h"
#include "ring/check.h"
#include "ring/topology.h"

namespace gyre {
namespace {

std::shared_ptr<const View> MakeView() {
  absl::StatusOr<Topology> topology =
      InitialTopology("fuzz", 8, {{NodeId(), "n1", "z", "h:1", "h:2"}});
  for (const auto& [name, conflict] : {std::pair("a", ConflictPolicy::kSiblings),
                                       std::pair("b", ConflictPolicy::kLastWriteWins)}) {
    TableSpec table;
    table.name = name;
    table.replicas = table.read_quorum = table.write_quorum = 1;
    table.conflict = conflict;
    topology = CreateTable(*topology, table);
    GYRE_CHECK(topology.ok(), "the tables are sound");
  }
  return View::Create(*topology, topology->members[0].id);
}

void CheckItem(const ItemKey& item, int needed, Duration timeout) {
  GYRE_CHECK(!item.key.empty() && item.key.size() <= kMaxKeyBytes, "the key keeps to its limit");
  GYRE_CHECK(needed == 1, "a quorum is at most N");
  GYRE_CHECK(timeout > Duration() && timeout <= Duration::Millis(kMaxTimeoutMs),
             "the timeout keeps to its limit");
}

void CheckWrite(const absl::StatusOr<TranslatedWrite>& write) {
  if (!write.ok()) return;
  CheckItem(write->request.item, write->request.needed, write->request.timeout);
  GYRE_CHECK(write->request.intent.value.size() <= kMaxValueBytes, "the value keeps to its limit");
}

void CheckRead(const absl::StatusOr<TranslatedRead>& read) {
  if (read.ok()) CheckItem(read->request.item, read->request.needed, read->request.timeout);
}

void TryRequest(v1::ClientRequest* request, const View& view) {
  switch (request->request_case()) {
    case v1::ClientRequest::kPut:
      return CheckWrite(TranslatePut(request->mutable_put(), view));
    case v1::ClientRequest::kDelete:
      return CheckWrite(TranslateDelete(request->mutable_delete_(), view));
    case v1::ClientRequest::kGet:
      return CheckRead(TranslateGet(request->mutable_get(), view));
    case v1::ClientRequest::kMultiGet:
      if (!CheckMultiGet(request->multi_get(), view).ok()) return;
      for (int i = 0; i < request->multi_get().keys_size(); ++i) {
        CheckRead(TranslateMultiGetItem(request->mutable_multi_get(), i, view));
      }
      return;
    case v1::ClientRequest::kMultiPut:
      if (!CheckMultiPut(request->multi_put(), view).ok()) return;
      for (int i = 0; i < request->multi_put().items_size(); ++i) {
        CheckWrite(TranslateMultiPutItem(request->mutable_multi_put(), i, view));
      }
      return;
    case v1::ClientRequest::REQUEST_NOT_SET:
      return;
  }
}

}  // namespace
}  // namespace gyre

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::shared_ptr<const gyre::View> view = [] {
    google::protobuf::SetLogHandler(nullptr);  // it would tell of every bad byte
    return gyre::MakeView();
  }();
  gyre::v1::ClientFrame frame;
  if (!frame.ParseFromArray(data, static_cast<int>(size))) return 0;
  for (gyre::v1::ClientRequest& request : *frame.mutable_requests()) {
    gyre::TryRequest(&request, *view);
  }
  return 0;
}
