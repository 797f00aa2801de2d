"""What knows that a picture shows a face: detection, landmarks, alignment and compositing."""
