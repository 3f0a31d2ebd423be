package wire

// The names of the members, in the order of the cases below.
var (
	queryFields     = []string{"collection", "tenant", "legs", "filter", "fields", "epoch"}
	legFields       = []string{"collection", "vector", "dense", "index", "value", "k", "ef", "exact", "only"}
	keyFields       = []string{"tenant", "id"}
	flagFields      = []string{"text", "meta", "vector"}
	resultFields    = []string{"lists", "report"}
	listFields      = []string{"hits", "exhausted", "prefix", "dropped"}
	pointFields     = []string{"tenant", "id", "version", "dense", "index", "value", "text", "meta"}
	hitFields       = append(pointFields[:8:8], "collection", "score", "raw", "shard", "legs")
	scoreFields     = []string{"leg", "rank", "score"}
	missingFields   = []string{"shard", "reason", "detail"}
	batchFields     = []string{"collection", "epoch", "create", "drop", "upserts", "deletes"}
	tombstoneFields = []string{"tenant", "id", "version"}
	writtenFields   = []string{"applied", "newer", "lag_ns"}
	keysFields      = []string{"collection", "keys", "fields"}
	scanFields      = []string{"collection", "tenant", "all_tenants", "filter", "after", "limit", "fields"}
	pageFields      = []string{"points", "more"}
	countFields     = []string{"count"}
	statsFields     = []string{"stats"}
	statFields      = []string{"collection", "points", "bytes", "newest", "digest", "digest_bits"}
	termQueryFields = []string{"collection", "tenant", "vector", "terms"}
	termStatsFields = []string{"docs", "counts"}
	reportFields    = []string{
		"complete", "coverage", "shards_asked", "shards_answered", "missing", "rows_asked", "rows_saved",
		"refills", "dropped", "vanished", "mode", "hedges", "failovers", "took_ns", "epoch",
	}
)
