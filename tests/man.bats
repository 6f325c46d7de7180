#!/usr/bin/env bats
# The manual says what the program does: its options, statuses and commands are held against --help
# and the program itself. The commands of tcptool-recipes(7) are run by recipes.bats.

load helpers
load examples

MANUAL=$BATS_TEST_DIRNAME/../man/tcptool.1
PAGES=("$BATS_TEST_DIRNAME"/../man/*.[1-8])

# The lines of the manual from the heading $1 to the next one of its kind, escapes resolved.
part() {
	awk -v from="$1" -v kind="${1%% *}" '
		$1 == kind || $1 == ".Sh" { inside = ($0 == from) }
		inside' "$MANUAL" | mdoc_text
}

# options_of_manual COMMAND: the options that the manual lists for it, as --help writes them
# ("-q, --quit-after=TIME"), each behind the heading of its list. A list holds for both commands, unless
# "Only .Nm Cm COMMAND has these:" is above it.
options_of_manual() {
	part '.Sh OPTIONS' | awk -v command="$1" '
		/^\.Ss / { group = substr($0, 5); only = "" }
		/^\.Nm Cm / && before == "Only" { only = $3 }
		{ before = $0 }
		!/^\.It Fl / || (only && only != command) { next }
		{
			sub(/^\.It /, "")
			gsub(/ Ns /, "\001")
			gsub(/Oo[ \001]*/, "["); gsub(/[ \001]*Oc/, "]")
			gsub(/Fl /, "-"); gsub(/Ar /, ""); gsub(/\001/, "")
			gsub(/ *, */, ",")
			gsub(/ /, "")
			# the argument of the short form has to be that of the long one, and goes
			if (match($0, /^-[^-][^,]*,--/)) {
				short = substr($0, 3, RLENGTH - 5)
				long = $0
				sub(/^.*,--[a-z0-9-]*/, "", long)
				bare = long
				sub(/=/, "", bare)
				if (short != bare)
					print "differs: " $0
				sub(/^../, substr($0, 1, 2) "\001")
				sub(/\001[^,]*/, "")
			}
			print group ": " $0
		}'
}

# options_of_help COMMAND: the same from --help, in its order.
options_of_help() {
	returns 0 "$TCPTOOL" "$1" --help
	awk '
		/^[A-Z].*:$/ { group = $0 }
		/^  +-/ { gsub(/, /, ","); print group, $1 }' out
}

@test "the options of a command in the manual are those of its --help, in the same groups" {
	local command
	for command in listen connect; do
		options_of_help $command | sort >help
		options_of_manual $command | sort >manual
		[ "$(wc -l <help)" -gt 30 ]
		diff -u help manual
	done
}

@test "the lists of options in the manual stand in the order of --help" {
	local command
	part '.Sh OPTIONS' | sed -n 's/^\.Ss //p' >lists
	for command in listen connect; do
		options_of_help $command | sed 's/: .*//' | uniq >help
		[ "$(wc -l <help)" -gt 8 ]
		grep -Fxf help lists | diff -u help -
		cat help >>all
	done
	# and there is no other list
	diff -u <(sort -u all) <(sort lists)
}

@test "every exit status of --help is in the manual, and the other way round" {
	returns 0 "$TCPTOOL" --help
	sed -n '/^Exit status:/,$p' out | tr '\n' ' ' | sed 's/^Exit status://; s/\..*//' |
		sed 's/ and \([0-9]\)/,\1/' | tr ',' '\n' | awk 'NF { print $1 }' >help
	part '.Sh EXIT STATUS' | sed -n 's/^\.It \([0-9]*\)$/\1/p' >manual
	[ "$(wc -l <help)" -ge 9 ]
	diff -u help manual
	part '.Sh EXIT STATUS' | grep -q '^\.It 128+ '
}

# Commands of the manual, as far as the next character that is the shell's.
commands() {
	part '.Sh EXAMPLES' | sed -E "s/ [0-9]>.*//; s/\<(9000|79)\>/PORT/; s/.*ProxyCommand='([^']*)'.*/\1/" |
		sed -nE 's/.*\<(tcptool (listen|connect) [^|&<>;]*).*/\1/p' >examples
	part '.Sh FROM OTHER NETCATS' | sed -nE 's/^\.Ic (tcptool .*)/\1/p' | sed 's/ ;$//' >habits
	cat examples habits
}

# Puts into WORDS what can be tried here of a command that the manual shows.
words_of() {
	local line=$1 port=1
	[[ $line != "tcptool listen"* ]] || port=0
	line=${line//ADDR/127.0.0.1}
	line=${line//HOST/127.0.0.1}
	line=${line//FIRST-LAST/1-2}
	line=${line//%h/127.0.0.1}
	line=${line//%p/1}
	line=${line//-p PORT/}
	line=${line//PORT/$port}
	line=${line// N / 1 }
	line=${line//=N/=1}
	# whichever command it is, it has to exist
	line=${line//.\/program/true}
	line=${line//COMMAND/true}
	line=${line//STRING/true}
	# only root can become somebody else
	line=${line//--user=nobody/}
	# the quotes are those of the example
	eval "WORDS=($line)"
}

@test "the program understands every command in the manual" {
	local line status
	commands >lines
	[ "$(wc -l <examples)" -ge 8 ] && [ "$(wc -l <habits)" -ge 20 ]
	while read -r line; do
		words_of "$line"
		status=0
		timeout -k 5 "$LIMIT" "$TCPTOOL" "${WORDS[1]}" --deadline=1ms "${WORDS[@]:2}" </dev/null >out 2>err \
			4>&- 3>ready || status=$?
		# refused, or no time: but understood
		[ "$status" -eq 4 ] || [ "$status" -eq 5 ] || {
			echo "status $status: $line"
			cat err
			return 1
		}
	done <lines
}

@test "mandoc finds nothing wrong with the manual pages" {
	need mandoc
	mandoc -Tlint "${PAGES[@]}" >lint 2>&1 || true
	# which other manuals are installed here is not their fault
	grep -v -e 'referenced manual not found' -e 'outdated mandoc.db' lint >wrong || true
	[ ! -s wrong ] || {
		cat wrong
		return 1
	}
}

@test "every manual page is installed, and its SEE ALSO names the others" {
	local page other
	[ "${#PAGES[@]}" -ge 2 ]
	for page in "${PAGES[@]}"; do
		grep -q "^[[:space:]]man/${page##*/}\>" "$BATS_TEST_DIRNAME/../Makefile.am"
		for other in "${PAGES[@]##*/}"; do
			[ "$other" = "${page##*/}" ] || sed -n '/^\.Sh SEE ALSO/,$p' "$page" | mdoc_text |
				grep "^\.Xr ${other%.*} ${other##*.}\>"
		done
	done
}

# Unescaped, these are typographic ones in PDF and UTF-8, and what is copied from there does not run.
@test "quotes, carets, grave accents and tildes in the examples of the manual pages stay as typed" {
	local page
	for page in "${PAGES[@]}"; do
		awk -v page="${page##*/}" '
			/^\.Bd -literal/ { inside = 1 }
			/^\.Ed/ { inside = 0 }
			(inside || /^\.(Dl|Li|Ql|Ic) /) && /[\047`^~]/ { print page ": " $0 }' "$page"
	done >wrong
	[ ! -s wrong ] || {
		cat wrong
		return 1
	}
}

@test "the socket options of -O help are in the manual, and the other way round" {
	returns 0 "$TCPTOOL" connect -O help
	sed 's/ .*//' out | sort >help
	part '.Ss Shaping' | sed -nE 's/^\.It Cm //p' |
		sed 's/ Ns = Ns Ar /=/; s/ Ns Op /[/; /\[/s/$/]/' | sort >manual
	[ "$(wc -l <help)" -ge 20 ]
	diff -u help manual
}

@test "every field of the report is in the manual, and the other way round" {
	returns 4 "$TCPTOOL" connect --report=failed --quiet 127.0.0.1 1
	listen_bg server -k --recv-only 127.0.0.1 0
	listen_bg relay --report=forwarded -F "127.0.0.1:$PORT" 127.0.0.1 0
	returns 0 "$TCPTOOL" connect --report=connected 127.0.0.1 "$PORT"
	ends 0 relay
	grep -oh '"[a-z_]*":' failed forwarded connected | tr -d '":' | sort -u >told
	part '.Ss The report' | grep -E '^\.(It )?Cm ' | sed -E 's/^\.(It )?Cm //; s/ \.$//' |
		tr -d ',' | tr ' ' '\n' | grep -E '^[a-z_]{2,}$' | grep -vx null | sort -u >manual
	diff -u told manual
	# and in the schema, where other words are keywords
	grep -oE '"[a-z_]+": \{' "$BATS_TEST_DIRNAME/../examples/report.schema.json" | tr -d '": {' |
		grep -vxE 'items|properties|count|duration|endpoint|attempt|end|if|then|else' | sort -u >schema
	diff -u told schema
}
