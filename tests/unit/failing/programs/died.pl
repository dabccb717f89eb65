use strict;
open(my $file, '<', '/no/such/file') or die "cannot open /no/such/file: $!";
