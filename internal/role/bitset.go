package role

// bitset is a set of places in a slice of names: a decision is one look at one bit, and
// adding up the roles of a person a few machine words for each.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool { return b[i/64]>>(i%64)&1 == 1 }

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }

func (b bitset) add(other bitset) {
	for w, bits := range other {
		b[w] |= bits
	}
}

func (b bitset) remove(other bitset) {
	for w, bits := range other {
		b[w] &^= bits
	}
}

// of lists the names in the set, in their order; it is never nil.
func (b bitset) of(names []string) []string {
	list := []string{}
	for i, name := range names {
		if b.has(i) {
			list = append(list, name)
		}
	}
	return list
}
