package search

// Digest identifies a stored point for comparisons of replicas: a hash of its
// key and version. The wrapping sum over all points of a store is its
// [Stats].Digest: it does not depend on their order, and a write changes it by one
// subtraction and one addition. Points without a version are all alike to it.
func Digest(k Key, v Version) uint64 {
	h := fold(0xcbf29ce484222325, k.Tenant)
	h = fold(avalanche(h+uint64(len(k.Tenant))), k.ID)
	return avalanche(h ^ avalanche(uint64(v)+0x9e3779b97f4a7c15))
}

// fold is FNV-1a (Fowler, Noll, Vo, 1991) over the bytes of s.
func fold(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// avalanche is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): sums
// of hashes need every bit to depend on all of the input.
func avalanche(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
