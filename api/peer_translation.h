// The messages between nodes (replication/message.h) to and from their wire form
// (api/proto/peer.proto).
//
// Bytes from a peer are not trusted: whatever a frame holds, decoding answers a value that is whole
// or an error, and allocates no more than a small multiple of what came. Pure functions; any
// thread.

#ifndef GYRE_API_PEER_TRANSLATION_H_
#define GYRE_API_PEER_TRANSLATION_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "api/proto/peer.pb.h"
#include "replication/message.h"

namespace gyre {

void EncodePeerMessage(const PeerMessage& message, peer::PeerMessage* out);

// DATA_LOSS for what no node of this version sends. Moves bytes out of `wire`.
absl::StatusOr<PeerMessage> DecodePeerMessage(peer::PeerMessage* wire);

// About how many bytes the message takes on the wire: what queues are bounded by.
size_t ApproximateBytes(const PeerMessage& message);

}  // namespace gyre

#endif  // GYRE_API_PEER_TRANSLATION_H_
