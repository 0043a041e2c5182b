package moving

import (
	"cmp"
	"errors"
	"hash/fnv"
	"io"
	"slices"
)

// Input is a file that can be read from its beginning and at any place, as *os.File can.
type Input interface {
	io.Reader
	io.ReaderAt
}

// side is a second file, whose rows belong to the records of the first by a key. Of each row
// it keeps 16 bytes: where it is.
type side struct {
	file    io.ReaderAt
	table   table
	key     func(row) string
	entries []entry
}

type entry struct {
	key    uint64 // a hash; rows are compared by the key itself when they are read
	offset int64
}

// errNoOffsets: an array of JSON can't be read in its middle.
var errNoOffsets = errors.New("moving: the second file must have a row on each line")

// openSide reads the whole file once. A row that can't be read is an error: a password or an
// identity that belongs to somebody would be lost without a word.
func openSide(file Input, form, name string, key func(row) string) (*side, error) {
	t, err := openTable(file, form, name)
	if err != nil {
		return nil, err
	}
	s := &side{file: file, table: t, key: key}
	for {
		r, _, offset, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if offset < 0 {
			return nil, errNoOffsets
		}
		if k := key(r); k != "" {
			s.entries = append(s.entries, entry{hashKey(k), offset})
		}
	}
	slices.SortFunc(s.entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.offset, b.offset)) })
	return s, nil
}

func hashKey(k string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, k)
	return h.Sum64()
}

// of gives the rows that belong to a key, in their order. A nil side has none.
func (s *side) of(key string) ([]row, error) {
	if s == nil || key == "" {
		return nil, nil
	}
	k := hashKey(key)
	i, _ := slices.BinarySearchFunc(s.entries, k, func(e entry, k uint64) int { return cmp.Compare(e.key, k) })
	var rows []row
	for ; i < len(s.entries) && s.entries[i].key == k; i++ {
		r, err := s.table.at(io.NewSectionReader(s.file, s.entries[i].offset, 2*maxRecord))
		if err != nil {
			return nil, err
		}
		if s.key(r) == key {
			rows = append(rows, r)
		}
	}
	return rows, nil
}
