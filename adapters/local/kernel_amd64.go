package local

import (
	"github.com/viterin/vek/vek32"
	"golang.org/x/sys/cpu"
)

// The kernels of vek need AVX2 and FMA; what it does without them is slower than
// our own loops.

func dot32(a, b []float32) float32 {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return vek32.Dot(a, b)
	}
	return dotPlain(a, b)
}

func distance32(a, b []float32) float32 {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return vek32.Distance(a, b)
	}
	return distancePlain(a, b)
}
