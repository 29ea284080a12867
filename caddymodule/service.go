package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

// serviceUnit is the unit that Caddy's packages bring, and packagedUser the user that they run it as.
const serviceUnit = "caddy.service"

var packagedUser = "caddy"

// service is the one that runs Caddy on this machine, as far as the machine says: commands are often root's,
// and what the service keeps lies in the directories of its user.
type service struct {
	// known is false if the machine does not say.
	known bool
	// named reports whether a flag named the user.
	named    bool
	name     string
	uid, gid int
	// data is Caddy's data directory of that user.
	data          string
	home, working string
	// config is the configuration that the unit names, and environment what it sets.
	config      string
	environment map[string]string
	// problem says what could not be read of it.
	problem error
}

// findService finds the user by --service-user, by the unit, or by the name that packages give them.
func findService(cmd *cobra.Command) (service, error) {
	named := ""
	if flag := cmd.Flags().Lookup("service-user"); flag != nil { // not every command has it
		named = flag.Value.String()
	}
	found, has, err := readUnit(unitDirs, serviceUnit)
	if err != nil {
		return service{}, fmt.Errorf("%s: %w", serviceUnit, err)
	}
	switch {
	case named != "":
		who, err := lookupUser(named)
		if err != nil {
			return service{}, fmt.Errorf("--service-user: %w", err)
		}
		if by, err := lookupUser(found.user); !has || err != nil || by.Uid != who.Uid {
			found = unit{}
		}
		s := serviceOf(who, found)
		if s.named = true; found.command == nil && s.uid == os.Geteuid() {
			s.data = caddy.AppDataDir()
		}
		return s, nil
	case has && !found.dynamic:
		who, err := lookupUser(found.user)
		if err != nil {
			return service{}, nil // a unit that cannot start
		}
		return serviceOf(who, found), nil
	}
	who, err := user.Lookup(packagedUser)
	if err != nil {
		return service{}, nil
	}
	s := serviceOf(who, unit{})
	if s.known && s.uid == os.Geteuid() {
		s.data = caddy.AppDataDir() // a container has one environment, for the server and for commands
	}
	return s, nil
}

// lookupUser finds a user by name or id; empty means root, as in a unit. An id may have no name.
func lookupUser(nameOrID string) (*user.User, error) {
	if nameOrID == "" {
		nameOrID = "0"
	}
	if _, err := strconv.ParseUint(nameOrID, 10, 31); err == nil {
		found, err := user.LookupId(nameOrID)
		if err != nil {
			return &user.User{Uid: nameOrID, Gid: nameOrID, Username: nameOrID}, nil
		}
		return found, nil
	}
	return user.Lookup(nameOrID)
}

// serviceOf returns the service of a user by a unit, which may be empty.
func serviceOf(who *user.User, u unit) service {
	s := service{name: who.Username, environment: maps.Clone(u.environment), problem: u.problem}
	var err, errGroup error
	s.uid, err = strconv.Atoi(who.Uid)
	s.gid, errGroup = strconv.Atoi(who.Gid)
	if errors.Join(err, errGroup) != nil {
		return service{} // a system whose users have no numbers
	}
	s.known = true
	if s.environment == nil {
		s.environment = map[string]string{}
	}
	for _, file := range u.environmentFiles {
		variables, err := readOptional(file) // systemd reads it as root
		s.problem = errors.Join(s.problem, err)
		maps.Copy(s.environment, variables)
	}
	for _, file := range u.flag("--envfile", "-envfile") {
		variables, err := readEnvironment(file, parseEnvfile)
		s.problem = errors.Join(s.problem, err)
		for name, value := range variables {
			if _, there := s.environment[name]; !there {
				s.environment[name] = value
			}
		}
	}
	if configs := u.flag("--config", "-c", "-config"); len(configs) > 0 && filepath.IsAbs(configs[0]) {
		s.config = configs[0]
	}
	s.home, s.working = who.HomeDir, u.workingDirectory
	if u.command != nil && u.user == "" {
		s.home = "" // systemd gives root's services none
	}
	s.data = s.dataDir()
	return s
}

// dataDir returns what Caddy takes for its data directory as this user.
func (s service) dataDir() string {
	home, working := s.home, s.working
	if dir := s.environment["XDG_DATA_HOME"]; dir != "" {
		return filepath.Join("/", working, dir, "caddy")
	}
	if own := s.environment["HOME"]; own != "" {
		home = own
	}
	switch {
	case home == "":
		return filepath.Join("/", working, "caddy")
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support", "Caddy")
	}
	return filepath.Join(home, ".local", "share", "caddy")
}

// acts reports whether this process may do what the service does: as root, or as its user.
func (s service) acts() bool {
	return s.known && (os.Geteuid() == 0 || os.Geteuid() == s.uid)
}

// takeEnvfiles reads the files of --envfile as "caddy run" does.
func (s *service) takeEnvfiles(cmd *cobra.Command) error {
	files, err := cmd.Flags().GetStringSlice("envfile")
	if err != nil {
		return nil // a command without the flag
	}
	for _, file := range files {
		variables, err := readEnvironment(file, parseEnvfile)
		if err != nil {
			return fmt.Errorf("--envfile: %w", err)
		}
		if err := setMissing(variables, func(string) bool { return false }); err != nil {
			return err
		}
		for name, value := range variables {
			if _, there := s.environment[name]; !there && s.known {
				s.environment[name] = value
			}
		}
	}
	if s.known && len(files) > 0 {
		s.data = s.dataDir()
	}
	return nil
}

// adopt sets the variables that the service's environment has and this process lacks, so that {$NAME} and
// {env.NAME} in the configuration say here what they say there.
func (s service) adopt() error {
	if !s.acts() {
		return nil
	}
	return setMissing(s.environment, notAdopted)
}

// unread returns what of the service's variables this user may not read.
func (s service) unread() string {
	if s.problem == nil {
		return ""
	}
	return "; the service's own cannot be read: " + strings.ReplaceAll(s.problem.Error(), "\n", "; ")
}

// defaultDatabase returns where the database lies that no configuration names, in a data directory of Caddy's.
func defaultDatabase(data string) string {
	return filepath.Join(data, "matrix_auth", "matrix_auth.db")
}

// places returns where the database of a site may lie, the likeliest first. There are two if the
// configuration does not name it: what is ours and what is the service's.
func (s site) places() []string {
	if s.databaseNamed || s.given.Database != "" || !s.service.known || s.service.data == "" {
		return []string{s.database}
	}
	ours, theirs := s.database, defaultDatabase(s.service.data)
	switch {
	case ours == theirs:
		return []string{ours}
	case s.service.named, s.service.acts():
		return []string{theirs, ours}
	case s.ownsFile():
		return []string{ours}
	}
	if _, err := os.Lstat(ours); err == nil {
		return []string{ours}
	}
	return []string{ours, theirs}
}

// stored returns where the database of a site lies, or would be made. Nothing is opened. Where the service is
// known, and the one who runs the command may do what it does, what lies in their own directory is not the
// service's: somebody may have started Caddy by hand once.
func (s site) stored() (path string, there bool, err error) {
	places := s.places()
	if s.service.acts() || s.service.named {
		places = places[:1]
	}
	for _, path := range places {
		_, err := os.Lstat(path)
		switch {
		case err == nil:
			return path, true, nil
		case errors.Is(err, fs.ErrPermission):
			return path, false, fmt.Errorf("what lies at %s cannot be looked at by this user: %w; run the command as %s or as root", path, fs.ErrPermission, s.ownerOf(path))
		}
	}
	return places[0], false, nil
}

// orElse returns where else a database lies that was looked for in vain, if it does.
func (s site) orElse(looked string) string {
	for _, path := range s.places() {
		if _, err := os.Lstat(path); err == nil && path != looked {
			return fmt.Sprintf("; there is one at %s, which is not the place of the service's user %s: if it is the right one, name it with --database", path, s.service.name)
		}
	}
	return ""
}

// ownerOf returns the user whose place a path is, for a message.
func (s site) ownerOf(path string) string {
	if s.service.known && s.service.data != "" && path == defaultDatabase(s.service.data) {
		return s.service.name
	}
	return "the server's user"
}

// believedUsers returns the users whose server is believed beside root, the caller and the owner of a
// well-guarded database, as far as no configuration is needed to know them: Caddy's packaged user, the
// unit's, and who is named by a flag.
func believedUsers(s service) (ids []int) {
	if known, err := user.Lookup(packagedUser); err == nil {
		if id, err := strconv.Atoi(known.Uid); err == nil {
			ids = append(ids, id)
		}
	}
	if s.known && !slices.Contains(ids, s.uid) {
		ids = append(ids, s.uid)
	}
	return ids
}
