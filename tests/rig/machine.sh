# Boots the tree of files TREE, with what the archive SNAPSHOT adds if there is one, as a container NAME. It runs in a mount namespace and a process namespace of its own,
# and is given arguments for systemd-nspawn.

# systemd in the container manages the control groups below its own. Two machines must not share them.
for group in $GROUPS_OF_MACHINE; do echo $$ >"$group/cgroup.procs"; done

mount --make-rprivate /
# What the machine writes lies in memory, above a tree that no machine changes.
mount -t tmpfs -o mode=755 tmpfs "$STATE"
mkdir "$STATE/upper" "$STATE/work" "$STATE/root"
if [ -n "${SNAPSHOT:-}" ]; then
	tar --extract --file "$SNAPSHOT" --directory "$STATE/upper" --preserve-permissions --numeric-owner --xattrs --xattrs-include='*'
fi
mount -t overlay -o "lowerdir=$TREE,upperdir=$STATE/upper,workdir=$STATE/work" overlay "$STATE/root"
if [ -z "${SNAPSHOT:-}" ]; then
	printf '127.0.0.1 localhost matrix\n::1 localhost ip6-localhost ip6-loopback\n' >"$STATE/root/etc/hosts"
	: >"$STATE/root/etc/resolv.conf"
fi
# systemd-nspawn keeps notes here, which would be left behind when it is killed.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn

# It ends with 133 when the machine is to start again.
status=133
while [ "$status" = 133 ]; do
	status=0
	systemd-nspawn --quiet --directory="$STATE/root" --machine="$NAME" --hostname=matrix \
		--register=no --keep-unit --private-network --link-journal=no --resolv-conf=off --timezone=off --console=pipe \
		"$@" --boot || status=$?
done
exit "$status"
