package redirect

import (
	"errors"
	"slices"
	"strings"
)

// Globs have the syntax of GoTrue's allow-list:
//
//	?        one character but "." and "/"
//	*        any number of characters but "." and "/", also none
//	**       any characters, also none
//	[abc]    one of these; [a-z] ranges; [!abc] none of these; never "." or "/"
//	{x,y}    x or y, which may be globs themselves
//	\c       c itself: \[::1\]
//
// A glob has to match the whole URL. Scheme and host are compared without regard to case.
// Alternatives are written out when the glob is read, and the rest is matched by stepping
// through all possible positions at once: at most len(glob) steps a character, whatever
// the input.

// Bounds of one glob.
const (
	maxGlob         = 512 // bytes
	maxAlternatives = 128 // after {} has been written out
)

var (
	errTooLong       = errors.New("is longer than 512 bytes")
	errAlternatives  = errors.New("has more than 128 alternatives")
	errBrace         = errors.New("has a { or } without its partner")
	errClass         = errors.New("has a [ without its ], or nothing between them")
	errRange         = errors.New("has a range that runs backwards")
	errLastBackslash = errors.New("ends with a backslash")
)

type kind uint8

const (
	literal    kind = iota
	anyOne          // ?
	star            // *
	doubleStar      // **
	class           // [...]
)

// token is one step of a glob.
type token struct {
	kind   kind
	r      rune   // of a literal
	negate bool   // of a class
	ranges []rune // of a class: pairs of first and last
}

func (t token) is(r rune) bool { return t.kind == literal && t.r == r }

// accepts says whether one character passes a step; stars are not steps.
func (t *token) accepts(r rune) bool {
	switch t.kind {
	case literal:
		return r == t.r
	case anyOne:
		return !separator(r)
	case class:
		if separator(r) {
			return false
		}
		for i := 0; i < len(t.ranges); i += 2 {
			if r >= t.ranges[i] && r <= t.ranges[i+1] {
				return !t.negate
			}
		}
		return t.negate
	default:
		return false
	}
}

func separator(r rune) bool { return r == '.' || r == '/' }

// match runs the glob over the text. at[i] says that the text so far can be taken by the
// first i tokens.
func match(glob []token, text string) bool {
	prefix := 0
	for prefix < len(glob) && glob[prefix].kind == literal {
		prefix++
	}
	for _, t := range glob[:prefix] {
		rest, ok := strings.CutPrefix(text, string(t.r))
		if !ok {
			return false
		}
		text = rest
	}
	glob = glob[prefix:]
	if len(glob) == 0 {
		return text == ""
	}
	var room [65]bool
	at := room[:]
	if len(glob) >= len(room) {
		at = make([]bool, len(glob)+1)
	}
	at = at[:len(glob)+1]
	at[0] = true
	skipStars(glob, at)
	for _, r := range text {
		if !advance(glob, at, r) {
			return false
		}
	}
	return at[len(glob)]
}

// advance takes one character; the answer is false when no position is left. It goes from
// the end to the start, so that each position is read before it is written.
func advance(glob []token, at []bool, r rune) bool {
	alive := false
	for i := len(glob); i >= 0; i-- {
		stay := i < len(glob) && at[i] && (glob[i].kind == doubleStar || glob[i].kind == star && !separator(r))
		step := i > 0 && at[i-1] && glob[i-1].accepts(r)
		at[i] = stay || step
		alive = alive || at[i]
	}
	skipStars(glob, at)
	return alive
}

// skipStars lets every star take nothing.
func skipStars(glob []token, at []bool) {
	for i := range glob {
		if at[i] && (glob[i].kind == star || glob[i].kind == doubleStar) {
			at[i+1] = true
		}
	}
}

// parseGlob reads a glob and writes its alternatives out.
func parseGlob(s string) ([][]token, error) {
	if len(s) > maxGlob {
		return nil, errTooLong
	}
	p := globParser{rest: []rune(s)}
	all, err := p.sequence(0)
	if err == nil && len(p.rest) > 0 {
		err = errBrace
	}
	return all, err
}

type globParser struct{ rest []rune }

func (p *globParser) next() rune {
	r := p.rest[0]
	p.rest = p.rest[1:]
	return r
}

// sequence reads up to the end, or inside of braces up to "," or "}", which stay.
func (p *globParser) sequence(depth int) ([][]token, error) {
	all := [][]token{nil}
	for len(p.rest) > 0 {
		if depth > 0 && (p.rest[0] == ',' || p.rest[0] == '}') {
			return all, nil
		}
		if p.rest[0] == '{' {
			choices, err := p.braces(depth + 1)
			if err != nil {
				return nil, err
			}
			if all, err = product(all, choices); err != nil {
				return nil, err
			}
			continue
		}
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		for i := range all {
			all[i] = append(all[i], t)
		}
	}
	return all, nil
}

func product(heads, tails [][]token) ([][]token, error) {
	if len(heads)*len(tails) > maxAlternatives {
		return nil, errAlternatives
	}
	out := make([][]token, 0, len(heads)*len(tails))
	for _, h := range heads {
		for _, t := range tails {
			out = append(out, slices.Concat(h, t))
		}
	}
	return out, nil
}

func (p *globParser) braces(depth int) ([][]token, error) {
	var all [][]token
	for {
		p.next() // "{" or ","
		choice, err := p.sequence(depth)
		if err != nil {
			return nil, err
		}
		if all = append(all, choice...); len(all) > maxAlternatives {
			return nil, errAlternatives
		}
		if len(p.rest) == 0 {
			return nil, errBrace
		}
		if p.rest[0] == '}' {
			p.next()
			return all, nil
		}
	}
}

func (p *globParser) token() (token, error) {
	switch r := p.next(); r {
	case '?':
		return token{kind: anyOne}, nil
	case '*':
		if len(p.rest) > 0 && p.rest[0] == '*' {
			p.next()
			return token{kind: doubleStar}, nil
		}
		return token{kind: star}, nil
	case '[':
		return p.class()
	case '}':
		return token{}, errBrace
	case '\\':
		if len(p.rest) == 0 {
			return token{}, errLastBackslash
		}
		return token{r: p.next()}, nil
	default:
		return token{r: r}, nil
	}
}

func (p *globParser) class() (token, error) {
	t := token{kind: class}
	if len(p.rest) > 0 && p.rest[0] == '!' {
		p.next()
		t.negate = true
	}
	for len(p.rest) > 0 && p.rest[0] != ']' {
		first, err := p.member()
		if err != nil {
			return token{}, err
		}
		last := first
		if len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] != ']' {
			p.next()
			if last, err = p.member(); err != nil {
				return token{}, err
			}
		}
		if last < first {
			return token{}, errRange
		}
		t.ranges = append(t.ranges, first, last)
	}
	if len(p.rest) == 0 || len(t.ranges) == 0 {
		return token{}, errClass
	}
	p.next()
	return t, nil
}

func (p *globParser) member() (rune, error) {
	r := p.next()
	if r != '\\' {
		return r, nil
	}
	if len(p.rest) == 0 {
		return 0, errLastBackslash
	}
	return p.next(), nil
}

func onlyStars(glob []token) bool {
	for _, t := range glob {
		if t.kind != star && t.kind != doubleStar {
			return false
		}
	}
	return true
}

// leadingScheme gives the literal scheme that a glob begins with.
func leadingScheme(glob []token) (string, bool) {
	var b strings.Builder
	for _, t := range glob {
		if t.kind != literal {
			return "", false
		}
		if t.r == ':' {
			return b.String(), isScheme(b.String())
		}
		b.WriteRune(t.r)
	}
	return "", false
}

// lower puts ASCII letters into lower case, in place. A range is left alone unless both of
// its ends are capitals: moving one end would let other characters in.
func lower(glob []token) {
	for i := range glob {
		glob[i].r = lowerRune(glob[i].r)
		for j := 0; j < len(glob[i].ranges); j += 2 {
			first, last := lowerRune(glob[i].ranges[j]), lowerRune(glob[i].ranges[j+1])
			if first != glob[i].ranges[j] && last != glob[i].ranges[j+1] {
				glob[i].ranges[j], glob[i].ranges[j+1] = first, last
			}
		}
	}
}
