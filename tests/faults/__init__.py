"""What breaks: crashes, kills, orphans, and resources that run out."""
