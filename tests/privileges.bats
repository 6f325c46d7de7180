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
		'NoNewPrivs: 1' 'CapEff: 0000000000000000' 'CapPrm: 0000000000000000' \
		'CapInh: 0000000000000000' 'CapAmb: 0000000000000000'
	# only CAP_SETPCAP, number 8, may empty the bounding set
	if (($(capabilities Eff) >> 8 & 1)); then
		status_is "$name" 'CapBnd: 0000000000000000'
	fi
}

# capabilities SET: that set of the test's own capabilities, as a number.
capabilities() {
	sed -n "s/^Cap$1:[[:space:]]*/0x/p" "/proc/$BASHPID/status"
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

@test "--user=NUMBER of an account: its own group and supplementary groups, not the group of that number" {
	need_root
	echo 'someone:x:54321:54322::/:/bin/false' >passwd
	printf 'else:x:54321:\nown:x:54322:\nmore:x:54323:someone\n' >group
	printf 'passwd: files\ngroup: files\ninitgroups: files\n' >nsswitch
	make_network -b "$PWD/passwd:/etc/passwd" -b "$PWD/group:/etc/group" -b "$PWD/nsswitch:/etc/nsswitch.conf"
	for user in 54321 someone; do
		rm -f tool.port
		start_bg tool "${NET[@]}" "$TCPTOOL" listen -k --user=$user --port-file=tool.port 127.0.0.1 0 -- cat
		wait_port tool.port
		is_now tool 54321 54322 54322 54323
	done
	start_bg named "${NET[@]}" "$TCPTOOL" listen -k --user=54321:else --port-file=named.port 127.0.0.1 0 -- cat
	wait_port named.port
	is_now named 54321 54321
}

@test "--user=NUMBER of no account: its group must be named, since any number may be the group of others" {
	need_root
	returns 2 "$TCPTOOL" listen --user=54321 --port-file=port 127.0.0.1 0
	one_line err '--user=54321:GROUP'
	[ ! -e port ]
	listen_bg tool -k --user=54321:54322 127.0.0.1 0 -- cat
	is_now tool 54321 54322
	talk "$PORT" send:x shut rest:x
	listen_bg named -k --user="54321:$(getent group 0 | cut -d : -f 1)" 127.0.0.1 0 -- cat
	is_now named 54321 0
}

@test "no set of capabilities survives, whatever the caller keeps over a change of user" {
	need_root
	need setpriv
	for words in '--inh-caps=+net_raw,+setuid' '--inh-caps=+net_raw --ambient-caps=+net_raw' \
		'--securebits=+no_setuid_fixup' '--securebits=+no_setuid_fixup,+noroot --inh-caps=+net_raw,+setuid,+setgid,+setpcap --ambient-caps=+net_raw,+setuid,+setgid,+setpcap'; do
		# shellcheck disable=SC2086
		setpriv $words true 2>/dev/null || skip "not allowed here: setpriv $words"
		rm -f tool.port
		# shellcheck disable=SC2086
		start_bg tool setpriv $words "$TCPTOOL" listen -k --user="$UID_:$GID_" --port-file=tool.port 127.0.0.1 0 \
			-c 'grep -E "^Cap(Inh|Prm|Eff|Amb)" /proc/self/status | tr "\t" " "'
		wait_port tool.port
		is_now tool "$UID_" "$GID_"
		talk "$PORT" "rest:$(printf 'Cap%s: 0000000000000000\\n' Inh Prm Eff Amb)"
	done
}

@test "a plain user with the capabilities to become another one keeps none of them" {
	need_root
	need setpriv
	as_plain --inh-caps=+setuid,+setgid --ambient-caps=+setuid,+setgid test -x "$TCPTOOL" ||
		skip "a plain user cannot execute $TCPTOOL"
	mkdir -m 777 open
	start_bg tool setpriv --reuid="$UID_" --regid="$GID_" --clear-groups --inh-caps=+setuid,+setgid \
		--ambient-caps=+setuid,+setgid "$TCPTOOL" listen -k --user=54323:54324 --port-file=open/port 127.0.0.1 0
	wait_port open/port
	status_is tool 'Uid: 54323 54323 54323 54323' 'Gid: 54324 54324 54324 54324' 'Groups:' 'NoNewPrivs: 1' \
		'CapEff: 0000000000000000' 'CapPrm: 0000000000000000' 'CapInh: 0000000000000000' \
		'CapAmb: 0000000000000000'
}

@test "that no capability is left is verified: status 6" {
	need_root
	need_strace
	need setpriv
	# capset answers that it has done what it has not
	returns 6 setpriv --inh-caps=+net_raw strace -o /dev/null -e trace=capset -e inject=capset:retval=0 \
		"$TCPTOOL" listen --user="$UID_:$GID_" 127.0.0.1 0
	one_line err 'cannot give up privileges: verify'
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

# folder_of_others: "sticky", a directory like /tmp in which links belong to another user than root.
folder_of_others() {
	need_root
	need setpriv
	mkdir sticky
	chmod 1777 sticky
}

@test "--port-file: another user's link in a sticky directory leads root to no file of its own" {
	folder_of_others
	echo precious >victim
	as_plain ln -s "../victim" sticky/port
	start_bg tool "$TCPTOOL" listen -k --port-file=sticky/port 127.0.0.1 0
	wait_for test ! -L sticky/port
	PORT=$(<sticky/port)
	talk "$PORT" shut
	holds victim 'precious\n'
	[ "$(stat -c %u sticky/port)" -eq 0 ]
}

# as_plain_or_self COMMAND...: runs it as a user whom permissions bind. Skips where root cannot become one.
as_plain_or_self() {
	if [ "$(id -u)" -ne 0 ]; then
		"$@"
	else
		as_plain "$@"
	fi
}

@test "--port-file: in a directory that is not writable, a file that is there is written in place" {
	[ "$(id -u)" -ne 0 ] || need setpriv
	as_plain_or_self test -x "$TCPTOOL" || skip "a plain user cannot execute $TCPTOOL"
	export -f as_plain_or_self as_plain
	export UID_ GID_
	mkdir closed
	echo 'longer than a port' >closed/port
	ln -s port closed/link
	chmod 666 closed/port
	chmod 555 closed
	# shellcheck disable=SC2016 # the inner shell expands it
	returns 5 bash -c 'as_plain_or_self "$@"' bash "$TCPTOOL" listen -w 50ms --port-file=closed/port 127.0.0.1 0
	[[ $(<closed/port) =~ ^[0-9]+$ ]]
	cp closed/port before
	for name in link new; do
		# shellcheck disable=SC2016
		returns 7 bash -c 'as_plain_or_self "$@"' bash "$TCPTOOL" listen -w 5 --port-file=closed/$name 127.0.0.1 0
		one_line err "closed/$name: Permission denied"
	done
	cmp before closed/port
	chmod 755 closed
}

@test "a port file has the mode of any new file; a trace and a report are for their owner alone" {
	umask 022
	for options in '-o trace' '-o trace.jsonl' '-o raw --trace-format=raw'; do
		# shellcheck disable=SC2086
		listen_bg tool $options --report=report 127.0.0.1 0
		talk "$PORT" send:x shut
		ends 0 tool
	done
	[ "$(stat -c %a tool.port)" = 644 ]
	for file in trace trace.jsonl raw.1.in raw.1.out report; do
		[ "$(stat -c %a $file)" = 600 ]
	done
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
	# root can leave it
	one_line tool.err '--chroot confines nothing without --user'
	listen_bg root -k --chroot=root --user=0:0 --greet=hi 127.0.0.1 0
	talk "$PORT" 'expect:hi\0' 'send:back\0' eof
	one_line root.err '--chroot confines nothing without --user'
}

@test "--chroot: commands are reaped: with -m 2 the third is served, and without -k it ends with its status" {
	need_root
	make_root sh
	listen_bg tool -k -m 2 --chroot=root --user="$UID_:$GID_" 127.0.0.1 0 -c 'read line; echo "$line"'
	for i in 1 2 3 4 5; do
		talk "$PORT" "send:$i\\n" "rest:$i\\n"
	done
	wait_for no_children tool
	# a leak checker would need a /proc in there
	export ASAN_OPTIONS=detect_leaks=0
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

@test "an account or a group that does not exist: status 2, and no socket listens" {
	for user in no-such-account nobody:no-such-group :nogroup nobody: -1 4294967295 ''; do
		returns 2 "$TCPTOOL" listen --user="$user" --port-file=port 127.0.0.1 0
		one_line err '--user'
		[ ! -e port ]
	done
	returns 2 "$TCPTOOL" listen --chroot= 127.0.0.1 0
	one_line err '--chroot'
}

@test "the user database cannot be read for want of descriptors: status 11, not an unknown user" {
	need_strace
	echo 'passwd: files' >nsswitch
	make_network -b "$PWD/nsswitch:/etc/nsswitch.conf"
	for user in nobody 65534; do
		returns 11 "${NET[@]}" strace -o /dev/null -P /etc/passwd -e trace=openat -e inject=openat:error=EMFILE \
			"$TCPTOOL" listen --user=$user 127.0.0.1 0
		one_line err "--user: look up '$user': Too many open files"
	done
}

@test "a copy that lends its privileges to the caller is refused: status 2" {
	need_root
	need setpriv
	grep -q '^NoNewPrivs:[[:space:]]*0' /proc/self/status || skip "privileges cannot be gained here"
	if grep -q __asan_init "$TCPTOOL"; then skip "the sanitizer does not work in such a copy"; fi
	plain=(setpriv --reuid="$UID_" --regid="$GID_" --clear-groups)
	chmod 755 .
	mkdir -m 755 lent
	for mode in 4755 2755; do
		cp "$TCPTOOL" lent/copy
		chmod $mode lent/copy
		"${plain[@]}" test -x lent/copy || skip "a plain user cannot execute what is in $PWD"
		returns 2 "${plain[@]}" lent/copy connect 127.0.0.1 1
		one_line err refused
		returns 2 "${plain[@]}" lent/copy --version
		rm lent/copy
	done
	# who has the privileges anyhow may call it
	cp "$TCPTOOL" lent/copy
	chmod 4755 lent/copy
	returns 0 lent/copy --version
	need setcap
	chmod 755 lent/copy
	setcap cap_net_bind_service+ep lent/copy 2>/dev/null || skip "no capabilities of files here"
	returns 2 "${plain[@]}" lent/copy connect 127.0.0.1 1
	one_line err refused
}

@test "--chroot: a directory that is missing or a file: status 7" {
	need_root
	for directory in missing "$TCPTOOL"; do
		returns 7 "$TCPTOOL" listen --chroot="$directory" --port-file=port 127.0.0.1 0
		one_line err chroot
		# nobody is told that it is ready
		[ ! -e port ]
	done
}

@test "a user without privileges cannot change user: status 6, and no connection is served" {
	if [ "$(id -u)" -eq 0 ]; then
		need setpriv
		as_plain test -x "$TCPTOOL" || skip "a plain user cannot execute $TCPTOOL"
		as() { as_plain "$@"; }
	else
		as() { "$@"; }
	fi
	export -f as as_plain
	export UID_ GID_
	for option in --user=0 --user="$UID_:$GID_" --chroot=/; do
		returns 6 bash -c 'as "$@"' bash "$TCPTOOL" listen "$option" 127.0.0.1 0
		one_line err 'not permitted'
	done
}
