package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
)

// checkMetadata refuses what a database can't store: NUL bytes, unpaired surrogates.
func checkMetadata(field string, data map[string]json.RawMessage) error {
	for k, v := range data {
		if !auth.CleanText(k) || !auth.CleanJSON(v) {
			return auth.E(auth.CodeValidation, field+" holds what can't be stored: NUL, an unpaired surrogate, or a number out of range")
		}
	}
	return nil
}

// metadataPatch turns a JSON object of a request into a patch: null removes a key, any
// other value replaces it whole.
func metadataPatch(data map[string]json.RawMessage) auth.MetadataPatch {
	var p auth.MetadataPatch
	for k, v := range data {
		if bytes.Equal(bytes.TrimSpace(v), []byte("null")) {
			p.Delete = append(p.Delete, k)
			continue
		}
		if p.Set == nil {
			p.Set = map[string]json.RawMessage{}
		}
		p.Set[k] = v
	}
	slices.Sort(p.Delete)
	return p
}

// setMetadata adds keys to a patch. A value that can't be marshalled is a programming error.
func setMetadata(p *auth.MetadataPatch, values map[string]any) error {
	for k, v := range values {
		raw, err := marshalAny(v)
		if err != nil {
			return err
		}
		if p.Set == nil {
			p.Set = map[string]json.RawMessage{}
		}
		p.Set[k] = raw
		p.Delete = slices.DeleteFunc(p.Delete, func(d string) bool { return d == k })
	}
	return nil
}

// marshalObject gives a JSON object, {} for nil, without null members.
func marshalObject(data map[string]json.RawMessage) (json.RawMessage, error) {
	if p := metadataPatch(data); p.Set != nil {
		return marshalAny(p.Set)
	}
	return json.RawMessage(`{}`), nil
}

func marshalAny(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("flow: encode metadata: %w", err)
	}
	return b, nil
}
