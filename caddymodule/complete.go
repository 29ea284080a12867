package caddymodule

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

const (
	// completeFor bounds how long somebody who presses the tab key waits.
	completeFor = 2 * time.Second
	// completeAtMost bounds what is proposed.
	completeAtMost = 50
)

// completions tell for a word in the usage of a command what a server proposes in its place.
var completions = map[string]func(ctx context.Context, o *matrixauth.Operator, typed string) ([]string, error){
	"NAME":   completeUsers,
	"ID":     completeSessions,
	"CLIENT": completeClients,
	"JOB":    completeJobs,
}

// completeWords has the shell complete the words of every command below root, and the flags that name a user or an app.
func completeWords(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		completeWords(cmd)
		words := strings.Fields(cmd.Use)[1:]
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) >= len(words) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return propose(cmd, strings.Trim(words[len(args)], "[]"), typed)
		}
		for flag, word := range map[string]string{"user": "NAME", "client": "CLIENT"} {
			if cmd.Flags().Lookup(flag) == nil {
				continue
			}
			err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				return propose(cmd, word, typed)
			})
			if err != nil {
				panic(err) // a flag is given to it twice
			}
		}
	}
}

// propose asks the running server. Without one nothing is proposed: to open the database for a key that is pressed
// would have root go on as somebody else, and others wait.
func propose(cmd *cobra.Command, word, typed string) ([]string, cobra.ShellCompDirective) {
	if word == "FILE" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	complete, ok := completions[word]
	if !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeFor)
	defer cancel()
	found, err := loadSite(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	o, err := found.reachServer(ctx, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	proposed, err := complete(ctx, o, typed)
	if err := cmp.Or(err, o.Close()); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return proposed, cobra.ShellCompDirectiveNoFileComp
}

// proposal returns a word with a description. Both are made visible: names of apps and devices are chosen by strangers, and a
// shell shows them.
func proposal(word string, about ...string) string {
	return visible(word) + "\t" + visible(strings.TrimSpace(strings.Join(about, " ")))
}

func completeUsers(ctx context.Context, o *matrixauth.Operator, typed string) (all []string, err error) {
	page, err := matrixauth.ListUsers.Do(ctx, o, matrixauth.UserQuery{Search: typed, Limit: completeAtMost})
	for _, u := range page.Users {
		if strings.HasPrefix(u.Localpart, strings.ToLower(typed)) {
			all = append(all, proposal(u.Localpart, u.State))
		}
	}
	return all, err
}

func completeSessions(ctx context.Context, o *matrixauth.Operator, typed string) (all []string, err error) {
	page, err := matrixauth.ListSessions.Do(ctx, o, matrixauth.SessionQuery{Search: typed, Limit: completeAtMost})
	for _, s := range page.Sessions {
		all = append(all, proposal(s.ID, s.User, cmp.Or(s.ClientName, s.Kind), cmp.Or(s.DeviceName, s.DeviceID)))
	}
	return all, err
}

func completeClients(ctx context.Context, o *matrixauth.Operator, typed string) (all []string, err error) {
	page, err := matrixauth.ListClients.Do(ctx, o, matrixauth.ClientQuery{})
	for _, c := range page.Clients {
		if strings.HasPrefix(c.ID, typed) {
			all = append(all, proposal(c.ID, c.Name))
		}
	}
	return all, err
}

func completeJobs(ctx context.Context, o *matrixauth.Operator, typed string) (all []string, err error) {
	page, err := matrixauth.ListJobs.Do(ctx, o, matrixauth.JobQuery{Limit: completeAtMost})
	for _, j := range page.Jobs {
		if number := strconv.FormatInt(j.Position, 10); strings.HasPrefix(number, typed) {
			all = append(all, proposal(number, j.Kind, j.User, j.State))
		}
	}
	return all, err
}
