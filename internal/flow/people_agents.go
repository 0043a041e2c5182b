package flow

import (
	"context"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// AgentsOf gives the agent whom each of these customers has at this moment; who has none is
// not in it. It asks for no rights: call it for people whom the caller has been given.
func (p *People) AgentsOf(ctx context.Context, customers ...auth.ID) (map[auth.ID]auth.ID, error) {
	agents := make(map[auth.ID]auth.ID, len(customers))
	for _, id := range customers {
		list, err := p.c.TenantStore.Relations(ctx, auth.RelationQuery{Kind: auth.RelationAgent, Object: id, At: p.c.now(), Limit: 1})
		if err != nil {
			return nil, fmt.Errorf("flow: look for agent: %w", err)
		}
		if len(list) > 0 {
			agents[id] = list[0].SubjectID
		}
	}
	return agents, nil
}
