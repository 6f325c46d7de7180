#!/usr/bin/env bats
# Guards the two ways bytes flow: nothing lost, nothing ended too early, nothing left behind, and exit
# status 0 only for what was delivered. (Which flow waits for which is played out by matrix.c.)

load helpers

# --- the ends of the two flows -------------------------------------------------------------------

@test "the end of stdin becomes a FIN, and a reply that takes its time is still received" {
	peer_bg peer rest:hello pause:1200 send:reply
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" < <(printf hello)
	holds out reply
	holds err ''
	ends 0 peer
}

@test "--no-shutdown withholds the FIN until the session ends" {
	peer_bg peer expect:hello quiet:500 send:bye shut eof
	returns 0 "$TCPTOOL" connect --no-shutdown 127.0.0.1 "$PORT" < <(printf hello)
	holds out bye
	ends 0 peer
}

@test "the peer's end closes stdout at once, and stdin goes on being forwarded" {
	mkfifo in out.fifo
	exec 5<>in
	peer_bg peer send:bye shut expect:late eof
	start_bg reader cat out.fifo
	IN=in OUT=out.fifo start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	ends 0 reader
	holds reader.out bye
	stays 300 tool
	printf late >&5
	exec 5>&-
	ends 0 tool
	ends 0 peer
}

@test "a server passes both ends on as well" {
	mkfifo in
	exec 5<>in
	IN=in listen_bg tool
	start_bg peer "$HELPERS/peer" connect "$PORT" send:question shut expect:answer eof
	wait_for holds tool.out question
	printf answer >&5
	exec 5>&-
	ends 0 tool
	ends 0 peer
}

@test "the last bytes that come together with the FIN are never lost" {
	random data 5000
	peer_bg peer -n 60 file:data
	for ((i = 0; i < 60; i++)); do
		returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" </dev/null
		cmp data out
	done
	ends 0 peer
}

@test "-q ends a session that is otherwise quiet, and that is no failure" {
	peer_bg peer rest:hello hold
	returns 0 "$TCPTOOL" connect -q 0.2 127.0.0.1 "$PORT" < <(printf hello)
	holds err ''

	mkfifo in
	exec 5<>in
	peer_bg other send:bye shut hold
	returns 0 "$TCPTOOL" connect --quit-after=0 127.0.0.1 "$PORT" <in
	holds out bye
	holds err ''
}

@test "-q does not begin before one of the flows has ended" {
	mkfifo in
	exec 5<>in
	peer_bg peer pause:500 send:late shut
	returns 0 "$TCPTOOL" connect -q 50ms 127.0.0.1 "$PORT" <in
	holds out late
}

@test "-q after the peer's end fails when what was read could not be delivered" {
	peer_bg peer -r 4096 shut hold
	IN=/dev/zero start_bg tool "$TCPTOOL" connect -q 0.5 127.0.0.1 "$PORT"
	ends 5 tool
	one_line tool.err quit-after
}

@test "-q after the end of stdin still waits until what was sent has arrived" {
	random data 100000
	peer_bg peer -r 4096 wait:go sink:got
	IN=data start_bg tool "$TCPTOOL" connect -q 0 127.0.0.1 "$PORT"
	stays 400 tool
	touch go
	ends 0 tool
	ends 0 peer
	cmp data got
}

@test "client and server end together, each with what the other sent" {
	printf answer >answer
	IN=answer listen_bg server
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" < <(printf question)
	holds out answer
	ends 0 server
	holds server.out question
}

# --- bad news ------------------------------------------------------------------------------------

@test "bytes that came before a reset are written, and only then is the reset reported" {
	mkfifo in
	exec 5<>in
	random data 60000
	for size in 5000 60000; do
		head -c "$size" data >sent
		peer_bg "peer$size" file:sent acked pause:50 reset
		returns 1 "$TCPTOOL" connect 127.0.0.1 "$PORT" <in
		cmp sent out
		one_line err "Connection reset by peer"
		ends 0 "peer$size"
	done
}

@test "bytes and a reset that come before the connect is noticed: the bytes are written" {
	mkfifo in
	exec 5<>in
	peer_bg peer -n 20 send:x acked reset
	for ((i = 0; i < 20; i++)); do
		returns 1 "$TCPTOOL" connect 127.0.0.1 "$PORT" <in
		holds out x
		one_line err "Connection reset by peer"
	done
}

@test "bytes that wait in the kernel survive a reset while stdout is blocked" {
	mkfifo out.fifo
	peer_bg peer stuff reset
	OUT=out.fifo start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	exec 6<>out.fifo # nobody reads yet: the pipe, tcptool and the kernel fill up
	ends 0 peer
	start_bg reader cat out.fifo
	wait_for test -s reader.out
	exec 6>&-
	ends 1 tool
	one_line tool.err "Connection reset by peer"
	ends 0 reader
	acknowledged=$(sed -n 's/.*, \(.*\) acknowledged/\1/p' peer.out)
	received=$(wc -c <reader.out)
	echo "$acknowledged bytes acknowledged, $received written"
	[ "$acknowledged" -gt 65536 ]
	[ "$received" -ge "$acknowledged" ]
}

@test "a reset that meets what is sent while stdout is blocked is no end-of-file: status 1" {
	mkfifo in.fifo out.fifo
	peer_bg peer stuff reset
	exec 6<>out.fifo 7<>in.fifo
	IN=in.fifo OUT=out.fifo start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	ends 0 peer
	# the write is told of the reset, and the read that comes later of nothing
	echo more >&7
	"$HELPERS/pause" 50
	start_bg reader cat out.fifo
	wait_for test -s reader.out
	exec 6>&- 7>&-
	ends 1 tool
	one_line tool.err "Connection reset by peer"
	ends 0 reader
	acknowledged=$(sed -n 's/.*, \(.*\) acknowledged/\1/p' peer.out)
	[ "$(wc -c <reader.out)" -ge "$acknowledged" ]
}

@test "a reset that destroys what was sent is not a success" {
	random data 100000
	peer_bg peer -r 4096 wait:go reset
	IN=data start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	stays 300 tool
	touch go
	ends 1 tool
	one_line tool.err
}

@test "exit 0 means acknowledged: a peer that does not read is waited for" {
	random data 100000
	peer_bg peer -r 4096 shut wait:go sink:got
	IN=data start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	# both flows have ended, but most of it is still queued here
	stays 500 tool
	touch go
	ends 0 tool
	ends 0 peer
	cmp data got
}

@test "a peer that closes with bytes unread is no success" {
	random data 3000
	peer_bg peer gulp:1000 touch:gulped wait:go close
	IN=data start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	wait_for test -e gulped
	stays 100 tool
	touch go
	ends 1 tool
	one_line tool.err "Connection reset by peer"
}

@test "sending that fails for a reason of this machine is told at once, though the peer is still there" {
	need_strace
	peer_bg peer sink hold
	printf x >in
	# the C library may have a system call of its own for send(3), as on 32-bit x86
	returns 11 strace -o /dev/null -e inject=?send,?sendto:error=ENOBUFS:when=1 "$TCPTOOL" connect 127.0.0.1 "$PORT" <in
	one_line err 'No buffer space'
}

@test "a server's session that is reset gives the status" {
	listen_bg tool
	start_bg peer "$HELPERS/peer" connect "$PORT" send:x acked reset
	ends 1 tool
	holds tool.out x
	one_line tool.err "Connection reset by peer"
}

# --- what stdin and stdout can be ----------------------------------------------------------------

@test "stdout's reader gone: quiet death by SIGPIPE, as of any filter" {
	mkfifo in out.fifo
	exec 5<>in
	peer_bg peer flood
	start_bg reader head -c 1 out.fifo
	IN=in OUT=out.fifo start_bg tool env --default-signal=PIPE "$TCPTOOL" connect 127.0.0.1 "$PORT"
	ends 0 reader
	ends 141 tool
	holds tool.err ''
	ends 0 peer
}

@test "the reader of stdout has gone: noticed though the peer is silent" {
	mkfifo in out.fifo
	exec 5<>in
	peer_bg peer hold
	start_bg reader head -c 0 out.fifo
	IN=in OUT=out.fifo start_bg tool env --default-signal=PIPE "$TCPTOOL" connect 127.0.0.1 "$PORT"
	ends 0 reader
	ends 141 tool
	holds tool.err ''
}

@test "the reader of stdout has gone and SIGPIPE is ignored: status 7" {
	mkfifo out.fifo
	peer_bg peer flood
	start_bg reader head -c 1 out.fifo
	OUT=out.fifo start_bg tool env --ignore-signal=PIPE "$TCPTOOL" connect 127.0.0.1 "$PORT"
	ends 7 tool
	one_line tool.err "write to stdout"
}

@test "stdout's reader gone does not stop --send-only" {
	mkfifo in out.fifo
	exec 5<>in
	peer_bg peer send:junk rest:late
	start_bg reader head -c 0 out.fifo
	IN=in OUT=out.fifo start_bg tool env --default-signal=PIPE "$TCPTOOL" connect --send-only \
		127.0.0.1 "$PORT"
	ends 0 reader
	stays 300 tool
	printf late >&5
	exec 5>&-
	ends 0 tool
	ends 0 peer
}

@test "a full disk behind stdout: status 7, one line" {
	peer_bg peer send:bytes hold
	OUT=/dev/full start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	ends 7 tool
	one_line tool.err "write to stdout: No space left on device"
}

@test "a directory as stdin: status 7, one line" {
	peer_bg peer hold
	returns 7 "$TCPTOOL" connect 127.0.0.1 "$PORT" </
	one_line err "read stdin: Is a directory"
}

@test "a file that stdout appends to keeps what it has" {
	printf 'first ' >log
	peer_bg peer send:second
	"$TCPTOOL" connect 127.0.0.1 "$PORT" </dev/null >>log 3>&-
	holds log 'first second'
}

@test "a file opened midway is read from there, and written from there" {
	printf 'head,middle,tail' >data
	peer_bg peer rest:middle,tail send:BODY
	{
		head -c 0
		dd bs=5 count=1 of=/dev/null 2>/dev/null
		{
			printf '<'
			"$TCPTOOL" connect 127.0.0.1 "$PORT" 3>&-
			printf '>'
		} >got
	} <data
	holds got '<BODY>'
	ends 0 peer
}

@test "what lies behind stdin may be empty, a file, a pipe, a socket, or nothing" {
	: >empty
	peer_bg null rest: send:x
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" </dev/null
	holds out x
	peer_bg file rest: send:x
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <empty
	holds out x
	peer_bg pipe rest: send:x
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" < <(:)
	holds out x
	peer_bg socket rest:abc send:x
	returns 0 "$HELPERS/onsocket" abc "$TCPTOOL" connect 127.0.0.1 "$PORT"
	holds out x
}

@test "stdin and stdout on one socket: the peer's end is passed on to it" {
	peer_bg peer expect:in send:out shut eof
	returns 0 "$HELPERS/onsocket" in "$TCPTOOL" connect 127.0.0.1 "$PORT"
	holds out out
	ends 0 peer
}

@test "any of the descriptors 0, 1 and 2 may be inherited closed" {
	for closed in '' 0 1 2 01 02 12 012; do
		sent=abc got=xyz
		[[ $closed != *0* ]] || sent=
		[[ $closed != *1* ]] || got=
		# nothing received may find its way back into the socket
		peer_bg "peer-$closed" send:xyz pause:50 "rest:$sent"
		returns 0 "$HELPERS/closedfds" "$closed" "$TCPTOOL" connect 127.0.0.1 "$PORT" \
			< <(printf abc)
		holds out "$got"
		ends 0 "peer-$closed"
	done
}

@test "listen: descriptors 0, 1 and 2 may be inherited closed" {
	start_bg tool "$HELPERS/closedfds" 012 "$TCPTOOL" listen --port-file=port 127.0.0.1 0
	wait_port port
	returns 0 "$HELPERS/peer" connect "$PORT" send:xyz shut rest:
	ends 0 tool
}

@test "failures are told by the status alone when stderr is closed" {
	port=$("$HELPERS/peer" free)
	returns 4 "$HELPERS/closedfds" 2 "$TCPTOOL" connect 127.0.0.1 "$port"
}

@test "inherited descriptors from 3 on are left alone" {
	peer_bg peer rest:abc send:xyz
	printf abc >data
	(
		exec 5>five 9>nine
		"$TCPTOOL" connect 127.0.0.1 "$PORT" <data >got 3>&-
		echo 5 >&5
		echo 9 >&9
	)
	holds got xyz
	holds five '5\n'
	holds nine '9\n'
}

@test "a device that blocks, though it is of the memory's, does not hold up what is received" {
	read -r -t 1 -n 1 _ </dev/kmsg 2>/dev/null || skip "no /dev/kmsg to read"
	peer_bg peer pause:300 send:hello hold
	IN=/dev/kmsg start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	wait_for holds tool.out hello
}

@test "urgent data stays where it is in the stream" {
	peer_bg peer send:before urgent:! send:after
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" </dev/null
	holds out 'before!after'
}

# --- nothing is changed for others ---------------------------------------------------------------

@test "the flags of shared pipes are as they were, after a clean end and after SIGKILL" {
	mkfifo in out.fifo
	exec 5<>in 6<>out.fifo
	printf x >&5
	peer_bg peer expect:x send:y shut eof
	IN=in OUT=out.fifo start_bg flags "$HELPERS/fdflags" "$TCPTOOL" connect -q 0.1 127.0.0.1 "$PORT"
	ends 0 flags
	holds flags.err ''
	ends 0 peer

	# killed while it waits for stdin, and for stdout to take more
	peer_bg full stuff touch:stuffed hold
	IN=in OUT=out.fifo start_bg flags "$HELPERS/fdflags" -p pid "$TCPTOOL" connect 127.0.0.1 "$PORT"
	wait_for test -e stuffed
	kill -KILL "$(<pid)"
	ends 137 flags
	holds flags.err ''
}

@test "a terminal is as it was after a clean end, a signal and SIGKILL" {
	need_terminal
	peer_bg peer 'expect:hi\n' send:bye shut eof
	returns 0 "$HELPERS/pty" 'type:hi\n' see:bye -- "$TCPTOOL" connect 127.0.0.1 "$PORT"
	for signal in 15 9; do
		peer_bg "peer$signal" 'expect:hi\n' send:hello hold
		returns $((128 + signal)) "$HELPERS/pty" 'type:hi\n' see:hello "kill:$signal" \
			-- "$TCPTOOL" connect 127.0.0.1 "$PORT"
	done
}

@test "pipes that arrive non-blocking are no failure" {
	mkfifo in out.fifo
	exec 5<>in
	random data 300000
	peer_bg peer file:data touch:sent rest:late
	IN=in OUT=out.fifo start_bg tool "$HELPERS/fdflags" -n "$TCPTOOL" connect 127.0.0.1 "$PORT"
	exec 6<>out.fifo # the reader comes only when the pipe is full
	wait_for test -e sent
	start_bg reader head -c 300000 out.fifo
	ends 0 reader
	cmp data reader.out
	printf late >&5
	exec 5>&-
	ends 0 tool
	ends 0 peer
}

# --- people at terminals -------------------------------------------------------------------------

@test "a session at a terminal ends when the peer ends: the prompt comes back" {
	need_terminal
	peer_bg peer 'expect:hi\n' send:bye shut eof
	returns 0 "$HELPERS/pty" 'type:hi\n' -- "$TCPTOOL" connect 127.0.0.1 "$PORT"
	[[ $(<out) == *bye* ]]
	ends 0 peer

	# also when stdout is elsewhere
	peer_bg other send:bye shut eof
	returns 0 "$HELPERS/pty" -i -- "$TCPTOOL" connect 127.0.0.1 "$PORT"
	[[ $(<out) == *bye* ]]
	ends 0 other
}

@test "^D at a terminal ends what is sent, not what is received" {
	need_terminal
	peer_bg peer 'rest:hi\n' pause:300 send:reply
	returns 0 "$HELPERS/pty" 'type:hi\n' 'type:\x04' -- "$TCPTOOL" connect 127.0.0.1 "$PORT"
	[[ $(<out) == *reply* ]]
	ends 0 peer
}

@test "^C at a terminal ends it as it ends any program" {
	need_terminal
	peer_bg peer 'expect:hi\n' touch:there hold
	returns 130 "$HELPERS/pty" 'type:hi\n' wait:there 'type:\x03' -- "$TCPTOOL" connect 127.0.0.1 "$PORT"
}

@test "lines that --delay holds back when the peer ends cost no processor time, and none is lost" {
	need_terminal
	peer_bg peer 'expect:a\n' shut touch:ended 'rest:b\n'
	start_bg tool "$HELPERS/pty" -i 'type:a\nb\nc\n' -- "$TCPTOOL" connect --delay=1 127.0.0.1 "$PORT"
	wait_for test -e ended
	pid=$(pgrep -P "${PIDS[tool]}")
	before=$(cut -d ' ' -f 14 "/proc/$pid/stat")
	"$HELPERS/pause" 500
	[ $(($(cut -d ' ' -f 14 "/proc/$pid/stat") - before)) -le 12 ]
	ends 0 tool
	ends 0 peer
}

@test "another user's terminal, which takes nothing, does not hold up what is sent" {
	need_terminal
	need setpriv
	[ "$(id -u)" -eq 0 ] || skip "not root"
	setpriv --reuid 65534 --clear-groups test -x "$TCPTOOL" || skip "a plain user cannot execute $TCPTOOL"
	mkfifo in
	# an odd beginning: a terminal that is filled page by page is never found with some room, but too little
	head -c 1000000 /dev/zero | tr '\0' x >much
	peer_bg peer send:odd wait:go file:much 'expect:hi\n' touch:got hold
	IN=in start_bg tool "$HELPERS/pty" -o wait:got -- bash -c 'stty raw <&1; exec "$@"' bash \
		setpriv --reuid 65534 --clear-groups "$TCPTOOL" connect 127.0.0.1 "$PORT"
	exec 9>in
	wait_for grep -q from peer.out
	# nobody looks at what the terminal shows any more, and before long it is full
	kill -STOP "${PIDS[tool]}"
	touch go
	"$HELPERS/pause" 300
	echo hi >&9
	wait_for test -e got
	exec 9>&-
	kill -CONT "${PIDS[tool]}"
}

# --- one way only --------------------------------------------------------------------------------

@test "--send-only reads and drops what comes, so that no reset destroys what was sent" {
	random data 2000000
	random junk 3000000
	peer_bg peer -r 16384 send:first file:junk sink:got
	returns 0 "$TCPTOOL" connect --send-only 127.0.0.1 "$PORT" <data
	holds out ''
	ends 0 peer
	cmp data got
}

@test "--send-only notices that the peer has gone" {
	mkfifo in
	exec 5<>in
	peer_bg peer expect:x reset
	IN=in start_bg tool "$TCPTOOL" connect --send-only 127.0.0.1 "$PORT"
	printf x >&5
	ends 1 tool
	one_line tool.err
}

@test "--recv-only leaves stdin alone and sends no FIN before the peer's" {
	printf 'for others' >data
	peer_bg peer send:early quiet:400 send:late shut eof
	{
		"$TCPTOOL" connect --recv-only 127.0.0.1 "$PORT" 3>&- >got
		cat >left
	} <data
	holds got earlylate
	holds left 'for others'
	ends 0 peer
}

# --- peers that are gone -------------------------------------------------------------------------

@test "quiet stdin, and a peer that has closed for good: keepalive ends the session, no failure" {
	mkfifo in
	exec 5<>in
	peer_bg peer linger2:1 send:bye close
	IN=in start_bg tool "$TCPTOOL" connect --keepalive=1,1,3 127.0.0.1 "$PORT"
	ends 0 tool
	holds tool.out bye
	holds tool.err ''
}

@test "quiet stdin, and a peer that no packet reaches any more: keepalive ends the session" {
	make_network
	mkfifo in
	exec 5<>in
	start_bg peer "${NET[@]}" "$HELPERS/peer" listen port expect:x touch:there hold
	wait_port port
	IN=in start_bg tool "${NET[@]}" "$TCPTOOL" connect --keepalive=1,1,2 127.0.0.1 "$PORT"
	printf x >&5
	wait_for test -e there
	"$HELPERS/netns" -j "${PIDS[network]}" -d
	ends 1 tool
	one_line tool.err
}

@test "a silent peer is left alone, with keepalive and without" {
	mkfifo in
	exec 5<>in
	peer_bg one hold
	IN=in start_bg probing "$TCPTOOL" connect --keepalive=1,1,1 127.0.0.1 "$PORT"
	peer_bg two hold
	IN=in start_bg trusting "$TCPTOOL" connect --no-keepalive 127.0.0.1 "$PORT"
	stays 2500 probing trusting
}

# --- load ----------------------------------------------------------------------------------------

@test "no processor time is used while stdin, stdout or the peer is waited for" {
	mkfifo quiet stuck
	exec 5<>quiet 6<>stuck
	# stdin never ends and the peer never reads; the peer floods and stdout is stuck
	peer_bg deaf hold
	IN=/dev/zero start_bg blocked "$TCPTOOL" connect 127.0.0.1 "$PORT"
	peer_bg flooding flood
	IN=quiet OUT=stuck start_bg choked "$TCPTOOL" connect 127.0.0.1 "$PORT"
	# one end has come: the descriptor stays "ready" for ever
	peer_bg ended shut hold
	IN=quiet start_bg deserted "$TCPTOOL" connect 127.0.0.1 "$PORT"
	peer_bg silent hold
	start_bg listening "$TCPTOOL" connect 127.0.0.1 "$PORT"
	# the peer's end while stdin is blocked, and everything read while the peer does not acknowledge
	peer_bg shut -r 4096 shut hold
	IN=/dev/zero start_bg pushing "$TCPTOOL" connect 127.0.0.1 "$PORT"
	random data 100000
	peer_bg slow -r 4096 shut hold
	IN=data start_bg settling "$TCPTOOL" connect 127.0.0.1 "$PORT"
	# nobody but the peer is left to tell of an end
	peer_bg idle hold
	IN=quiet OUT=stuck start_bg waiting "$TCPTOOL" connect 127.0.0.1 "$PORT"
	stays 600 blocked choked deserted listening pushing settling waiting
	calm blocked choked deserted listening pushing settling waiting
}

@test "a message one way does not cost a question the other way" {
	need_strace
	mkfifo in
	peer_bg peer dribble:5:01234567890123456789 touch:done eof
	IN=in start_bg tool strace -o calls -e trace=poll,read,preadv2 "$TCPTOOL" connect 127.0.0.1 "$PORT"
	exec 9>in
	wait_for test -e done
	exec 9>&-
	ends 0 tool
	holds tool.out 01234567890123456789
	[ "$(grep -cE '^(poll\(\[\{fd=|read\(|preadv2\()0,' calls)" -le 8 ]
}

@test "one byte at a time is enough" {
	printf '%0400d' 7 >data
	peer_bg peer -r 1 slow:1:400 eof "dribble:1:$(<data)"
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <data
	cmp data out
	ends 0 peer
	[ "$(grep -o '7' peer.out | wc -l)" -ge 1 ]
}

@test "stopped and continued, it goes on where it was" {
	mkfifo in
	exec 5<>in
	peer_bg peer expect:one touch:one rest:two
	IN=in start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	printf one >&5
	wait_for test -e one
	kill -STOP "${PIDS[tool]}"
	printf two >&5
	exec 5>&-
	kill -CONT "${PIDS[tool]}"
	ends 0 tool
	ends 0 peer
}

@test "megabytes both ways at once, through files and through pipes, arrive as they were" {
	random up 16000003
	random down 12000001
	IN=down listen_bg server
	mkfifo up.fifo down.fifo
	start_bg writer dd if=up of=up.fifo bs=7777
	OUT=got.down start_bg reader cat down.fifo
	IN=up.fifo OUT=down.fifo start_bg client "$TCPTOOL" connect 127.0.0.1 "$PORT"
	ends 0 client
	ends 0 server
	ends 0 reader
	cmp up server.out
	cmp down got.down
}
