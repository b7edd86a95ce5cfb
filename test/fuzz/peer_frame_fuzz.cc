// Bytes of a peer: a PeerFrame, each of its messages decoded, and what was decoded encoded and
// decoded again, which must give the same bytes.

#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "api/peer_translation.h"
#include "api/proto/peer.pb.h"
#include "ring/check.h"

namespace gyre {
namespace {

std::string ToBytes(const PeerMessage& message) {
  peer::PeerMessage wire;
  EncodePeerMessage(message, &wire);
  return wire.SerializeAsString();
}

void TryFrame(const uint8_t* data, size_t size) {
  peer::PeerFrame frame;
  if (!frame.ParseFromArray(data, static_cast<int>(size))) return;
  for (peer::PeerMessage& wire : *frame.mutable_messages()) {
    const absl::StatusOr<PeerMessage> message = DecodePeerMessage(&wire);
    if (!message.ok()) continue;
    GYRE_CHECK(ApproximateBytes(*message) > 0, "every message takes room");
    const std::string bytes = ToBytes(*message);
    peer::PeerMessage again;
    GYRE_CHECK(again.ParseFromString(bytes), "what was encoded is protobuf");
    const absl::StatusOr<PeerMessage> back = DecodePeerMessage(&again);
    GYRE_CHECK(back.ok() && ToBytes(*back) == bytes, "a message survives the wire");
  }
}

}  // namespace
}  // namespace gyre

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto silenced = google::protobuf::SetLogHandler(nullptr);
  static_cast<void>(silenced);  // it would tell of every bad byte
  gyre::TryFrame(data, size);
  return 0;
}
