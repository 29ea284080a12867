package caddymodule

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func outboxCommand() *cobra.Command {
	return groupCommand("outbox", "Work for Synapse that waits, or was refused", outboxListCommand(),
		outboxJobCommand("retry", "Has a job tried again at once, also one that was refused for good", "is tried", matrixauth.RetryJob),
		outboxJobCommand("drop", "Removes a job, so that Synapse is never told", "is dropped", matrixauth.DropJob))
}

func outboxListCommand() *cobra.Command {
	var asked matrixauth.JobQuery
	var refused bool
	cmd := operatorCommand("list", "Lists the jobs that wait, and those that were refused for good", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			if refused {
				asked.State = "set_aside"
			}
			list := newList(cmd, []string{"JOB", "KIND", "USER", "STATE", "ATTEMPTS", "CREATED", "NEXT TRY", "LAST ERROR"}, func(j matrixauth.Job) []string {
				return []string{fmt.Sprint(j.Position), j.Kind, j.User, j.State, fmt.Sprint(j.Attempts), formatTime(j.CreatedAt), formatTime(j.RunAt), j.LastError}
			})
			return list.all(func() (jobs []matrixauth.Job, more bool, err error) {
				page, err := matrixauth.ListJobs.Do(cmd.Context(), o, asked)
				asked.After = page.Next
				return page.Jobs, page.Next != 0, err
			})
		})
	cmd.Flags().StringVar(&asked.User, "user", "", "Only jobs about this user")
	cmd.Flags().BoolVar(&refused, "refused", false, "Only jobs that were refused for good")
	jsonFlag(cmd)
	return cmd
}

// outboxJobCommand makes a command about one job.
func outboxJobCommand(verb, short, done string, action matrixauth.Operation[matrixauth.JobRef, matrixauth.Job]) *cobra.Command {
	return operatorCommand(verb+" JOB", short, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			position, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not a number of a job, which \"outbox list\" shows", args[0])
			}
			job, err := action.Do(cmd.Context(), o, matrixauth.JobRef{Position: position})
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "job %d (%s of %s) %s", job.Position, job.Kind, job.User, done)
		})
}
