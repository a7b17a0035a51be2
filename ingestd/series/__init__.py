"""Many mails -> threads, series and revisions. Pure functions of sets: arrival has no say."""
