package models

import "github.com/lanewise/lanewise/llm"

// leastWindow is the smallest window that an upstream is believed to have.
const leastWindow = 256

// window is the model's, or the smaller one that an upstream of it has named since.
func (m *model) window() llm.Window {
	w := m.Window
	w.Context = limitOf(int(m.said.Load()), w.Context)
	return w
}

// heard keeps the window that an upstream names in refusing a prompt, so that not every
// request has to be refused first. 0: it names none.
func (m *model) heard(limit int) {
	if limit < leastWindow {
		return
	}
	for {
		before := m.said.Load()
		if before != 0 && before <= int64(limit) || m.said.CompareAndSwap(before, int64(limit)) {
			return
		}
	}
}
