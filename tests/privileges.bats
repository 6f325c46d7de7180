#!/usr/bin/env bats
# Guards that a listener gives up what it was told to give up, all of it and for good, after it has opened
# what takes privileges and before it serves anybody.

load helpers

# An account nobody uses, by number.
UID_=54321
GID_=54322

# talk PORT STEP...: a client that does these steps.
talk() {
	local port=$1
	shift
	returns 0 "$HELPERS/peer" connect "$port" "$@"
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "not root"
}

# need_account NAME: skips the test where there is none. Sets UID_ and GID_ to its own.
need_account() {
	getent passwd "$1" >/dev/null || skip "no account $1"
	UID_=$(id -u "$1")
	GID_=$(id -g "$1")
}

# status_is NAME LINE...: these lines, blanks apart, are in /proc/PID/status.
status_is() {
	local name=$1 line
	shift
	tr -s '\t ' ' ' <"/proc/${PIDS[$name]}/status" | sed 's/ $//' >status
	for line; do
		grep -qx "$line" status || {
			echo "not '$line' but $(grep "^${line%%:*}:" status)"
			return 1
		}
	done
}

# is_now NAME UID GID [GROUP]...: the background command is this user in every respect, for good.
is_now() {
	local name=$1 uid=$2 gid=$3 groups
	shift 3
	groups=$*
	status_is "$name" "Uid: $uid $uid $uid $uid" "Gid: $gid $gid $gid $gid" "Groups:${groups:+ $groups}" \
		'NoNewPrivs: 1' 'CapEff: 0000000000000000' 'CapPrm: 0000000000000000'
}

# as_plain COMMAND...: runs it as a user without privileges.
as_plain() {
	setpriv --reuid="$UID_" --regid="$GID_" --clear-groups "$@"
}

# --- who it is ------------------------------------------------------------------------------------

@test "--user=NAME: user, group and supplementary groups of that account, for good" {
	need_root
	need_account nobody
	listen_bg tool -k --user=nobody 127.0.0.1 0 -- cat
	# shellcheck disable=SC2046
	is_now tool "$UID_" "$GID_" $(id -G nobody)
	talk "$PORT" send:x shut rest:x
	# one that has more than one group, if there is such
	for name in $(getent group | cut -d : -f 4 | tr ',' ' '); do
		[ "$name" != root ] && getent passwd "$name" >/dev/null || continue
		need_account "$name"
		listen_bg second -k --user="$name" 127.0.0.1 0 -- cat
		# the kernel keeps them in order
		# shellcheck disable=SC2046
		is_now second "$UID_" "$GID_" $(id -G "$name" | tr ' ' '\n' | sort -n)
		talk "$PORT" send:x shut rest:x
		break
	done
}

@test "--user=NAME:GROUP: that group alone, and no other" {
	need_root
	need_account nobody
	need_account daemon
	listen_bg tool -k --user=nobody:daemon 127.0.0.1 0 -- cat
	is_now tool "$(id -u nobody)" "$GID_"
	talk "$PORT" send:x shut rest:x
}

@test "--user takes numbers, of accounts that exist or not" {
	need_root
	for words in 54321:54321:54321 54321:54322:54321:54322; do
		user=${words%:*:*}
		rm -f tool.port
		listen_bg tool -k --user="$user" 127.0.0.1 0 -- cat
		gid=${words##*:}
		is_now tool 54321 "$gid"
		talk "$PORT" send:x shut rest:x
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
	done
	listen_bg named -k --user="54321:$(getent group 0 | cut -d : -f 1)" 127.0.0.1 0 -- cat
	is_now named 54321 0
}

@test "groups that the caller had are not kept" {
	need_root
	start_bg tool setpriv --groups=3,4,5 "$TCPTOOL" listen -k --user="$UID_:$GID_" --port-file=tool.port 127.0.0.1 0
	wait_port tool.port
	is_now tool "$UID_" "$GID_"
}

@test "every way of serving gives them up" {
	need_root
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	listen_bg forward -k --user="$UID_:$GID_" --forward="127.0.0.1:$PORT" 127.0.0.1 0
	is_now forward "$UID_" "$GID_"
	talk "$PORT" send:x shut rest:x
	listen_bg greet -k --user="$UID_:$GID_" --greet=hi 127.0.0.1 0
	is_now greet "$UID_" "$GID_"
	talk "$PORT" 'expect:hi\0' 'send:back\0' eof
	listen_bg stdin -k --user="$UID_:$GID_" 127.0.0.1 0
	is_now stdin "$UID_" "$GID_"
	talk "$PORT" send:x shut eof
	wait_for holds stdin.out x
}

@test "the command runs as that user, and gains nothing by executing others" {
	need_root
	listen_bg tool -k --user="$UID_:$GID_" 127.0.0.1 0 \
		-c 'id -u; id -g; id -G; grep -E "^(NoNewPrivs|CapEff)" /proc/self/status | tr "\t" " "'
	talk "$PORT" "rest:$UID_\\n$GID_\\n$GID_\\nCapEff: 0000000000000000\\nNoNewPrivs: 1\\n"
}

@test "without --user nothing changes" {
	listen_bg tool -k 127.0.0.1 0 -- cat
	status_is tool "NoNewPrivs: $(sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status)" \
		"Uid: $(id -u) $(id -u) $(id -u) $(id -u)"
}

# --- what was opened before -----------------------------------------------------------------------

@test "a port that only root may have is bound first" {
	need_root
	make_network
	start_bg tool "${NET[@]}" "$TCPTOOL" listen -k --user="$UID_:$GID_" --port-file=tool.port 127.0.0.1 80 -- cat
	wait_port tool.port
	[ "$PORT" = 80 ]
	is_now tool "$UID_" "$GID_"
	returns 0 "${NET[@]}" "$HELPERS/peer" connect 80 send:x shut rest:x
}

@test "port file, trace, report and rules lie where only root may go, and are opened first" {
	need_root
	mkdir -m 700 private
	echo 127.0.0.1 >private/rules
	start_bg tool env --default-signal=HUP "$TCPTOOL" listen -k --user="$UID_:$GID_" --port-file=private/port \
		--trace=private/trace.raw \
		--report=private/report --allow-file=private/rules --greet=hi 127.0.0.1 0
	wait_port private/port
	is_now tool "$UID_" "$GID_"
	talk "$PORT" 'expect:hi\0' 'send:back\0' eof
	returns 0 "$HELPERS/peer" -s 127.0.0.2 connect "$PORT" eof
	# who may not read the rules any more goes on with those it has
	rm private/rules
	kill -HUP "${PIDS[tool]}"
	wait_for one_line tool.err 'stay as they were'
	talk "$PORT" 'expect:hi\0' 'send:back\0' eof
	returns 0 "$HELPERS/peer" -s 127.0.0.2 connect "$PORT" eof
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	[ "$(grep -c . private/report)" -eq 2 ]
	grep -q back private/trace.raw
}

# --- another root ---------------------------------------------------------------------------------

# make_root PROGRAM...: the directory "root", with these and the libraries they take.
make_root() {
	local program library
	mkdir -p root/bin root/etc
	for program; do
		cp "$(command -v "$program")" root/bin
		for library in $(ldd "$(command -v "$program")" | grep -o '/[^ ]*'); do
			mkdir -p "root/${library%/*}"
			cp "$library" "root/$library"
		done
	done
	chmod -R go+rX root
}

@test "--chroot=DIR: root and working directory are there, and greeting, stdin and forwarding still work" {
	need_root
	mkdir root
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	upstream=$PORT
	for service in --greet=hi --recv-only "--forward=127.0.0.1:$upstream"; do
		rm -f tool.port
		listen_bg tool -k --chroot=root --user="$UID_:$GID_" "$service" 127.0.0.1 0
		[ "$(readlink "/proc/${PIDS[tool]}/root")" = "$(readlink -f root)" ]
		[ "$(readlink "/proc/${PIDS[tool]}/cwd")" = "$(readlink -f root)" ]
		is_now tool "$UID_" "$GID_"
		case $service in
		--greet*) talk "$PORT" 'expect:hi\0' 'send:back\0' eof ;;
		--recv*) talk "$PORT" send:x shut eof ;;
		*) talk "$PORT" send:x shut rest:x ;;
		esac
		kill -TERM "${PIDS[tool]}"
		ends 143 tool
		holds tool.err ''
	done
}

@test "--chroot without --user: the root changes, the user does not" {
	need_root
	mkdir root
	listen_bg tool -k --chroot=root --greet=hi 127.0.0.1 0
	[ "$(readlink "/proc/${PIDS[tool]}/root")" = "$(readlink -f root)" ]
	status_is tool 'Uid: 0 0 0 0' 'NoNewPrivs: 1'
	talk "$PORT" 'expect:hi\0' 'send:back\0' eof
}

@test "--chroot: commands are reaped: with -m 2 the third is served, and without -k it ends with its status" {
	need_root
	make_root sh
	listen_bg tool -k -m 2 --chroot=root --user="$UID_:$GID_" 127.0.0.1 0 -c 'read line; echo "$line"'
	for i in 1 2 3 4 5; do
		talk "$PORT" "send:$i\\n" "rest:$i\\n"
	done
	wait_for no_children tool
	listen_bg one --chroot=root --user="$UID_:$GID_" 127.0.0.1 0 -c 'exit 3'
	talk "$PORT" eof
	ends 3 one
}

# no_children NAME: the background command has none, zombies included.
no_children() {
	[ -z "$(cat "/proc/${PIDS[$1]}/task/${PIDS[$1]}/children")" ]
}

@test "--chroot: the command is the one in there, and sees nothing else" {
	need_root
	make_root sh cat ls
	echo inside >root/file
	listen_bg tool -k --chroot=root --user="$UID_:$GID_" 127.0.0.1 0 -- cat /file
	talk "$PORT" 'rest:inside\n'
	listen_bg shell -k --chroot=root --user="$UID_:$GID_" 127.0.0.1 0 -c 'pwd; cat file; [ -e /proc ] || echo alone'
	talk "$PORT" 'rest:/\ninside\nalone\n'
	# one that is only outside is not found; a leak checker would need a /proc in there
	ASAN_OPTIONS=detect_leaks=0 returns 127 "$TCPTOOL" listen --chroot=root 127.0.0.1 0 -- "$HELPERS/pause"
	one_line err 'not found'
}

@test "--chroot: a name to forward to is looked up in there, or that fails with a line" {
	need_root
	mkdir -p root/etc
	make_network
	start_bg crowd_in "${NET[@]}" "$HELPERS/crowd" listen in.port
	wait_port in.port
	upstream=$PORT
	start_bg tool "${NET[@]}" "$TCPTOOL" listen -k -w 5 --port-file=tool.port --chroot=root --user="$UID_:$GID_" \
		--forward="upstream.test:$upstream" 127.0.0.1 0
	wait_port tool.port
	returns 0 "${NET[@]}" "$HELPERS/peer" connect "$PORT" lost
	wait_for one_line tool.err 'upstream.test'
	echo '127.0.0.1 upstream.test' >root/etc/hosts
	echo 'hosts: files' >root/etc/nsswitch.conf
	chmod -R go+rX root
	rm tool.port
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	start_bg tool "${NET[@]}" "$TCPTOOL" listen -k -w 5 --port-file=tool.port --chroot=root --user="$UID_:$GID_" \
		--forward="upstream.test:$upstream" 127.0.0.1 0
	wait_port tool.port
	returns 0 "${NET[@]}" "$HELPERS/peer" connect "$PORT" send:x shut rest:x
	holds tool.err ''
}

# --- when it cannot be ----------------------------------------------------------------------------

@test "an account or a group that does not exist: status 2, and nobody listens" {
	for user in no-such-account nobody:no-such-group :nogroup nobody: -1 4294967295 ''; do
		returns 2 "$TCPTOOL" listen --user="$user" --port-file=port 127.0.0.1 0
		one_line err '--user'
		[ ! -e port ]
	done
	returns 2 "$TCPTOOL" listen --chroot= 127.0.0.1 0
	one_line err '--chroot'
}

@test "a directory that is none: status 7" {
	need_root
	for directory in missing "$TCPTOOL"; do
		returns 7 "$TCPTOOL" listen --chroot="$directory" --port-file=port 127.0.0.1 0
		one_line err chroot
		# nobody is told that it is ready
		[ ! -e port ]
	done
}

@test "a user without privileges has none to give up: status 6, and nobody is served" {
	if [ "$(id -u)" -eq 0 ]; then
		need setpriv
		as_plain test -x "$TCPTOOL" || skip "a plain user cannot execute $TCPTOOL"
		as() { as_plain "$@"; }
	else
		as() { "$@"; }
	fi
	export -f as as_plain
	export UID_ GID_
	for option in --user=0 --user="$UID_" --chroot=/; do
		returns 6 bash -c 'as "$@"' bash "$TCPTOOL" listen "$option" 127.0.0.1 0
		one_line err 'not permitted'
	done
}
