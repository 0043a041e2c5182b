package cardea

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// Place is where a request names an id: see [InPath], [InQuery], [InHeader] and [InBody].
// A guard looks only at the places that its route declares, so declare every place that
// the handler reads: http.Request.FormValue, for one, reads body and query.
type Place struct {
	kind  placeKind
	name  string
	limit int64 // of the body
}

type placeKind int

const (
	placeNone placeKind = iota
	placePath
	placeQuery
	placeHeader
	placeBody
)

// InPath is the wildcard {name} of the route's pattern ([http.Request.PathValue]). The
// guard must stand behind the router, around the handler: in front of it, nothing is there
// and the guard refuses.
func InPath(name string) Place { return place(placePath, name) }

// InQuery is a parameter of the query. A query that also has the name in another spelling
// (User_ID, user_id[]), which binders of some frameworks take for it, is refused with 400.
func InQuery(name string) Place { return place(placeQuery, name) }

// InHeader is a header. As with every header, the client writes it.
func InHeader(name string) Place { return place(placeHeader, textproto.CanonicalMIMEHeaderKey(name)) }

// InBody is a member of the JSON object in the body, or a field of the form in it. The
// guard reads the body up to 1 MiB and leaves an equal one for the handler; a larger one
// is refused with 413. It has to know what the handler will see, so it refuses with 400 a
// body that is neither JSON nor a form by its Content-Type, that is compressed, or that
// two readers could read in two ways: names that appear twice, or that differ from name
// only in case, which encoding/json takes for name; in a form also those that InQuery
// refuses.
func InBody(name string) Place { return InBodyUpTo(name, 1<<20) }

// InBodyUpTo is [InBody] with another limit in bytes. The guard holds the whole body in
// memory: for large uploads, have the id in the path. A limit below 1 is a programming
// error: it panics.
func InBodyUpTo(name string, maxBytes int64) Place {
	if maxBytes < 1 {
		panic("cardea: InBodyUpTo with a limit below 1")
	}
	p := place(placeBody, name)
	p.limit = maxBytes
	return p
}

func place(kind placeKind, name string) Place {
	if name == "" {
		panic("cardea: a place without a name")
	}
	return Place{kind: kind, name: name}
}

// String gives, for instance, "path clinic_id".
func (p Place) String() string {
	switch p.kind {
	case placePath:
		return "path " + p.name
	case placeQuery:
		return "query " + p.name
	case placeHeader:
		return "header " + p.name
	case placeBody:
		return "body " + p.name
	}
	return "no place"
}

// read gives every value that stands there; none means that the name is absent.
func (p Place) read(r *http.Request) ([]string, *Error) {
	switch p.kind {
	case placePath:
		if value := r.PathValue(p.name); value != "" {
			return []string{value}, nil
		}
	case placeQuery:
		// Not r.URL.Query, which drops what it can't read: another reader may not.
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err == nil {
			err = onlyOneName(query, p.name)
		}
		if err != nil {
			return nil, NewError(CodeRequestInvalid, err)
		}
		return query[p.name], nil
	case placeHeader:
		return r.Header[p.name], nil
	case placeBody:
		return bodyValues(r, p.name, p.limit)
	}
	return nil, nil
}

// onlyOneName refuses names that some reader takes for name: binders of Echo and Fiber
// look at them without regard to case, and Fiber's takes name[] and name[0] for name.
func onlyOneName(values url.Values, name string) error {
	for other := range values {
		if other != name && sameName(other, name) {
			return fmt.Errorf("another spelling of %q", name)
		}
	}
	return nil
}

// sameName says whether a reader may take other for name.
func sameName(other, name string) bool {
	other, _, _ = strings.Cut(other, "[")
	return strings.EqualFold(strings.TrimSpace(other), name)
}

// places is a declared list.
type places []Place

func mustPlaces(of string, first Place, more []Place) places {
	list := append(places{first}, more...)
	for _, p := range list {
		if p.kind == placeNone {
			panic("cardea: " + of + " with an empty place")
		}
	}
	return list
}

func (list places) String() string {
	s := ""
	for i, p := range list {
		if i > 0 {
			s += ", "
		}
		s += p.String()
	}
	return s
}

// read gives the different values in all places.
func (list places) read(r *http.Request) ([]string, *Error) {
	var found []string
	for _, p := range list {
		values, failure := p.read(r)
		if failure != nil {
			return nil, failure
		}
	next:
		for _, value := range values {
			for _, known := range found {
				if known == value {
					continue next
				}
			}
			found = append(found, value)
		}
	}
	return found, nil
}
