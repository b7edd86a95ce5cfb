// CartWorkload: the shopping cart of the Dynamo paper (section 4.4). A cart is one key; its value
// is the set of things that were put in. A client reads, merges the siblings by union, adds one
// thing, and writes back with the context. A thing that was acknowledged is in the cart for ever
// after: nobody takes anything out here.

#ifndef GYRE_TEST_WORKLOAD_CART_WORKLOAD_H_
#define GYRE_TEST_WORKLOAD_CART_WORKLOAD_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "test/workload/workload.h"

namespace gyre {

class CartWorkload final : public Workload {
 public:
  CartWorkload(TableSpec table, int carts, EventId first_event);

  std::vector<TableSpec> SetUp() const override { return {table_}; }
  Action Next(int client, Time now, Random* random) override;
  std::optional<std::string> OnResult(int client, const Action& operation,
                                      const ActionResult& result) override;
  std::optional<std::string> Check(const ReadFn& read) override;

 private:
  struct Session {
    std::string key;
    bool has_read = false;
    std::string context;
    std::set<EventId> things;
  };
  static std::set<EventId> Merge(const std::vector<std::string>& values);

  const TableSpec table_;
  const int carts_;
  EventId next_event_;
  std::map<int, Session> sessions_;                 // by client
  std::map<std::string, std::set<EventId>> acked_;  // by cart: what must be in it
};

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_CART_WORKLOAD_H_
