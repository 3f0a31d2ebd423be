//go:build !amd64

package local

func dot32(a, b []float32) float32 { return dotPlain(a, b) }

func distance32(a, b []float32) float32 { return distancePlain(a, b) }
