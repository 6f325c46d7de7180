# chart.svg: bulk throughput of tcptool and of others, and the limit, by case. Called by run.
set terminal svg size 900,420 font "sans,12"
set output chart
set datafile separator "\t"
set style data histogram
set style histogram clustered gap 2
set style fill solid 0.85 border -1
set boxwidth 0.9
set grid ytics lc rgb "#cccccc"
set ylabel "GB/s (median, one run)"
set key outside right top
set title "Bulk transfer over loopback TCP: stdin of one process to stdout of another"
cc = system(sprintf("awk -F '\t' '$1 == \"bulk\" { print $3; exit }' %s", results))
height(name, case) = real("0" . system(sprintf("awk -F '\t' '$1 == \"bulk\" && $2 == \"%s\" && $3 == \"%s\" && $4 == \"%s\" && $5 == \"GB/s\" { print $6 }' %s", case, cc, name, results)))
names = "tcptool limit-low nc.openbsd nc.traditional ncat socat socat-64k socat-1M"
cases = "pipe null file"
$bars << EOD
EOD
set print $bars
do for [c in cases] {
	line = c
	do for [n in names] { line = line . sprintf("\t%g", height(n, c)) }
	print line
}
unset print
plot for [i=1:words(names)] $bars using (column(i + 1)):xtic(1) title word(names, i)
