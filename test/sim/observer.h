// Observer: sees every batch that any node's engine takes and the clocks and records of every
// replica, and holds them against the promises that no client can see: no dot is minted twice, no
// clock claims what its store lacks, healed owners hold the same.
//
// One thread.

#ifndef GYRE_TEST_SIM_OBSERVER_H_
#define GYRE_TEST_SIM_OBSERVER_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ring/ids.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/version/dot.h"
#include "storage/version/record.h"
#include "test/workload/history.h"

namespace gyre {

class Observer {
 public:
  // What a table is held to.
  struct Table {
    std::string name;
    History* history = nullptr;  // null: not judged by its causal history
    bool durable = true;         // fsync
  };
  void AddTable(TableId id, Table table) { tables_[id] = std::move(table); }

  // A node has lost what it had written since `synced`.
  void OnPowerCut(int node, Time synced, Time cut);
  // From now on the nodes' clocks tell different times.
  void OnClocksApart();

  // A batch is about to be written at some node. Nothing, or what is wrong.
  std::optional<std::string> OnBatch(const WriteBatch& batch);

  // Of one replica: does what it stores bear out what its clock claims?
  // Nothing where it cannot say, for what it stores of the item is damaged.
  using LoadFn = std::function<std::optional<Record>(const ItemKey&)>;
  std::optional<std::string> JudgeClaims(PartitionId partition, const PartitionClock& clock,
                                         const LoadFn& load) const;

  // Items of the partition that some dot was minted for.
  std::set<ItemKey> Items(PartitionId partition) const;
  // All dots of the partition that were ever seen.
  std::vector<Dot> Dots(PartitionId partition) const;
  // And of the item.
  std::vector<Dot> Dots(const ItemKey& item) const;

 private:
  struct Seen {
    ItemKey item;
    EventId event = 0;  // 0: not known yet
  };
  std::optional<std::string> SeeDot(PartitionId partition, Dot dot, const ItemKey& item,
                                    EventId event);

  std::map<TableId, Table> tables_;
  std::map<PartitionId, std::map<Dot, Seen>> dots_;
  std::map<EventId, Dot> first_dots_;  // by event
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_OBSERVER_H_
