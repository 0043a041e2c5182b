package postgres

import (
	"fmt"
	"strings"
)

// Statements gives the statements that run with requests, for tests of plans.
func Statements() map[string]string {
	list := map[string]string{}
	for name, statement := range map[string]string{
		"find": findUser, "get": getUser, "candidates": lockCandidates, "update": updateUser, "evidence": setEvidence,
		"drop a task": dropTask, "drop tasks of a user": dropTasks, "lease": fmt.Sprintf(leaseTasks, 5), "profile": putProfile,
	} {
		list[name] = strings.ReplaceAll(statement, "@", "usersync.")
	}
	return list
}
