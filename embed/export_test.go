package embed

// Soonest is the picker of an Embedder's pool.
type Soonest = soonest
