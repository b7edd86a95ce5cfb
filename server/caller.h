// Caller: whoever waits for replies at the door: a pipelined session, or a single unary call.
//
// Thread rule: any thread; several at once.

#ifndef GYRE_SERVER_CALLER_H_
#define GYRE_SERVER_CALLER_H_

#include "api/proto/gyre.pb.h"

namespace gyre {

class Caller {
 public:
  virtual ~Caller() = default;

  // The one reply to the request that had its id. It may be kept until Flush, so that replies which
  // are ready at the same time leave in one frame.
  virtual void OnReply(v1::ClientReply reply) = 0;
  virtual void Flush() = 0;
};

}  // namespace gyre

#endif  // GYRE_SERVER_CALLER_H_
