#!/usr/bin/env bats
# Guards the conversation with other people's tools, both ways round: megabytes arrive as they were, and
# both sides end. Each test is skipped where its tool is missing.

load helpers

setup_file() {
	head -c 8388609 /dev/urandom >"$BATS_FILE_TMPDIR/up"
	head -c 8388607 /dev/urandom >"$BATS_FILE_TMPDIR/down"
}

# serve COMMAND...: tcptool is the client; COMMAND, with %P for its port, listens and sends "down".
serve() {
	local port
	port=$("$HELPERS/peer" free)
	IN=$BATS_FILE_TMPDIR/down start_bg other "${@//%P/$port}"
	IN=$BATS_FILE_TMPDIR/up start_bg tool "$TCPTOOL" connect --retry=15 127.0.0.1 "$port"
	both_ended tool.out other.out
}

# call COMMAND...: tcptool is the server and sends "down"; COMMAND, with %P for the port, sends "up".
call() {
	IN=$BATS_FILE_TMPDIR/down listen_bg tool 127.0.0.1 0
	IN=$BATS_FILE_TMPDIR/up start_bg other "${@//%P/$PORT}"
	both_ended other.out tool.out
}

both_ended() {
	ends 0 tool
	wait_for gone other
	cmp "$BATS_FILE_TMPDIR/down" "$1"
	cmp "$BATS_FILE_TMPDIR/up" "$2"
}

# OpenBSD's, which alone knows -N: shut the socket down at the end of stdin.
need_openbsd_nc() {
	need nc
	nc -h 2>&1 | grep -q OpenBSD || skip "no OpenBSD nc"
}

@test "tcptool connects to OpenBSD nc" {
	need_openbsd_nc
	serve nc -N -l 127.0.0.1 %P
}

@test "OpenBSD nc connects to tcptool" {
	need_openbsd_nc
	call nc -N 127.0.0.1 %P
}

@test "tcptool connects to ncat" {
	need ncat
	serve ncat -l 127.0.0.1 %P
}

@test "ncat connects to tcptool" {
	need ncat
	call ncat 127.0.0.1 %P
}

@test "tcptool connects to socat" {
	need socat
	serve socat -t 20 - TCP-LISTEN:%P,bind=127.0.0.1
}

@test "socat connects to tcptool" {
	need socat
	call socat -t 20 - TCP:127.0.0.1:%P
}

@test "the shell's own /dev/tcp" {
	IN=$BATS_FILE_TMPDIR/down listen_bg tool 127.0.0.1 0
	OUT=other.out start_bg other bash -c 'exec 4<>"/dev/tcp/127.0.0.1/$1" && cat <&4' bash "$PORT"
	wait_for cmp -s "$BATS_FILE_TMPDIR/down" other.out
	ends 0 other
	ends 0 tool
	holds tool.out ''
}
